"""The fate of packets on a link, for any link and any traffic."""

import statistics

from hypothesis import given
from hypothesis import strategies as st

from follower.link.shaping import Shape, Shaper, shape_of
from shared.jobs.network import NetworkLink

MS = 1_000_000

shapes = st.builds(
    Shape,
    delay_ns=st.floats(0, 100 * MS),
    jitter_ns=st.sampled_from([0.0, 1.0, 1e4, 1e6, 5e7]),
    ns_per_byte=st.sampled_from([0.0, 0.008, 8.0, 666.7]),
    loss=st.floats(0, 0.9),
    queue_bytes=st.integers(1500, 100_000),
)
traffic = st.lists(st.tuples(st.integers(0, 20 * MS), st.integers(40, 1500)), min_size=1, max_size=60)


def fates(shape: Shape, packets: list[tuple[int, int]], seed: int = 1) -> list[tuple[int, int, int | None]]:
    """(entered at, size, leaves at) of packets given as (gap, size)."""
    shaper, now_ns, found = Shaper(shape, seed), 0, []
    for gap_ns, size_bytes in packets:
        now_ns += gap_ns
        found.append((now_ns, size_bytes, shaper.admit(now_ns, size_bytes)))
    return found


@given(shapes, traffic)
def test_no_packet_leaves_before_it_came_or_overtakes_another(shape: Shape, packets: list[tuple[int, int]]) -> None:
    """A link is neither a time machine nor an overtaking lane."""
    passed = [(came, left) for came, _, left in fates(shape, packets) if left is not None]
    assert all(left >= came for came, left in passed)
    assert [left for _, left in passed] == sorted(left for _, left in passed)


@given(shapes, traffic)
def test_packets_that_passed_took_at_least_their_time_on_the_wire(shape: Shape, packets: list[tuple[int, int]]) -> None:
    """A link of some rate carries no more than that, whatever the traffic."""
    passed = [(came, size, left) for came, size, left in fates(shape, packets) if left is not None]
    if passed:
        on_the_wire_ns = sum(size for _, size, _ in passed) * shape.ns_per_byte
        assert passed[-1][2] - passed[0][0] >= on_the_wire_ns - 1


@given(shapes, traffic)
def test_nothing_waits_longer_than_the_queue_is_long(shape: Shape, packets: list[tuple[int, int]]) -> None:
    """The queue's bound is a bound on waiting."""
    plain = Shape(delay_ns=shape.delay_ns, ns_per_byte=shape.ns_per_byte, queue_bytes=shape.queue_bytes)
    for came, size, left in fates(plain, packets):
        if left is not None:
            longest_ns = max(size, plain.queue_bytes) * plain.ns_per_byte + plain.delay_ns
            assert left - came <= longest_ns * (1 + 1e-9) + 2


@given(shapes, traffic, st.integers(0, 2**40))
def test_the_same_seed_gives_the_same_fates(shape: Shape, packets: list[tuple[int, int]], seed: int) -> None:
    """A run can be repeated, with its losses."""
    assert fates(shape, packets, seed) == fates(shape, packets, seed)


def test_directions_of_one_link_do_not_share_their_chances() -> None:
    """What is lost one way says nothing of the other."""
    shape = Shape(loss=0.5)
    up, down = Shaper(shape, 7, "up"), Shaper(shape, 7, "down")
    assert [up.admit(at, 100) for at in range(100)] != [down.admit(at, 100) for at in range(100)]


def test_a_packet_on_an_idle_link_takes_its_bits_and_the_delay() -> None:
    """12,000 bits at 12 Mbit/s are 1 ms."""
    shaper = Shaper(shape_of(NetworkLink(delay_ms=35, rate_mbit=12)), seed=0)
    assert shaper.admit(0, 1500) == 1_000_000 + 35 * MS  # 12,000 bits at 12 Mbit/s are 1 ms


def test_packets_that_come_together_leave_one_after_the_other() -> None:
    """The transmitter sends one packet at a time."""
    shaper = Shaper(shape_of(NetworkLink(rate_mbit=12)), seed=0)
    assert [shaper.admit(0, 1500) for _ in range(3)] == [1 * MS, 2 * MS, 3 * MS]


def test_the_queue_drops_what_it_cannot_hold_and_takes_packets_again_once_it_has_drained() -> None:
    """Drop-tail: a full queue loses what comes last."""
    shaper = Shaper(Shape(ns_per_byte=1000, queue_bytes=3000), seed=0)
    assert [shaper.admit(0, 1500) for _ in range(3)] == [1_500_000, 3_000_000, None]
    assert shaper.admit(1_500_000, 1500) == 4_500_000


def test_the_delay_has_the_mean_and_the_deviation_that_were_asked_for() -> None:
    """Over 20,000 packets that do not meet, within four standard errors."""
    shaper = Shaper(shape_of(NetworkLink(delay_ms=10, jitter_ms=2)), seed=3)
    taken_ms = [
        (left - came) / MS for came in range(0, 20_000 * 100 * MS, 100 * MS) if (left := shaper.admit(came, 100))
    ]
    assert abs(statistics.fmean(taken_ms) - 10) < 0.06  # four standard errors
    assert abs(statistics.stdev(taken_ms) - 2) < 0.06
    assert min(taken_ms) > 0


def test_the_share_of_lost_packets_is_the_one_that_was_asked_for() -> None:
    """Over 20,000 packets, within four standard errors."""
    shaper = Shaper(shape_of(NetworkLink(loss_pct=5)), seed=11)
    lost = sum(shaper.admit(at * 1000, 100) is None for at in range(20_000))
    assert abs(lost / 20_000 - 0.05) < 0.0062  # four standard errors
