"""Packets on their way through a link, on a clock of the test's own."""

from follower.link.delay_line import DelayLine, both_ways
from follower.link.shaping import Shape, Shaper

MS = 1_000_000


def test_a_packet_leaves_when_it_is_due_and_not_before() -> None:
    """And the line says when that will be."""
    line: DelayLine[str] = DelayLine(Shaper(Shape(delay_ns=5 * MS), 0))
    assert line.leave(0) is None
    line.enter(0, "a", 100)
    line.enter(1 * MS, "b", 100)
    assert line.next_due_ns == 5 * MS
    assert line.leave(5 * MS - 1) is None
    assert line.leave(5 * MS) == "a"
    assert line.leave(5 * MS) is None
    assert line.leave(9 * MS) == "b"
    assert line.next_due_ns is None


def test_lost_packets_are_counted_and_never_leave() -> None:
    """The third does not fit into the queue."""
    line: DelayLine[int] = DelayLine(Shaper(Shape(ns_per_byte=1000, queue_bytes=3000), 0))
    for number in range(3):
        line.enter(0, number, 1500)
    assert (line.carried, line.lost) == (2, 1)
    assert [line.leave(10 * MS) for _ in range(3)] == [0, 1, None]


def test_both_ways_have_the_rate_each() -> None:
    """A full-duplex link: what goes up does not hold up what comes down."""
    up: DelayLine[str]
    down: DelayLine[str]
    up, down = both_ways(Shape(ns_per_byte=1000), 0)
    up.enter(0, "u", 1500)
    down.enter(0, "d", 1500)
    assert up.next_due_ns == down.next_due_ns == 1_500_000


def test_what_the_path_takes_by_itself_is_part_of_the_delay() -> None:
    """And a delay that is shorter than the path cannot be made up for."""
    long: DelayLine[str] = DelayLine(Shaper(Shape(delay_ns=5 * MS, path_ns=MS), 0))
    long.enter(0, "a", 100)
    assert long.next_due_ns == 4 * MS
    short: DelayLine[str] = DelayLine(Shaper(Shape(delay_ns=MS // 2, path_ns=MS), 0))
    short.enter(7, "a", 100)
    assert short.next_due_ns == 7
