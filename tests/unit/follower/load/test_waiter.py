"""Waiting: never too early for a due time, at once for a socket, not for ever for anything."""

import select
import socket
import statistics
import time
from collections.abc import Iterator

import pytest

from follower.load.pacing import NEVER
from follower.load.waiter import Waiter

MS = 1_000_000


@pytest.fixture(params=[0, 300_000], ids=["sleeping", "spinning"])
def waiter(request: pytest.FixtureRequest) -> Iterator[Waiter]:
    """A waiter that sleeps to the due time, and one that polls through the last stretch."""
    with Waiter(spin_ns=request.param) as opened:
        yield opened


def overshoot_ns(waiter: Waiter, gap_ns: int) -> int:
    """How much later than due the loop could take the request up."""
    due_ns = time.monotonic_ns() + gap_ns
    while (now_ns := time.monotonic_ns()) < due_ns:
        waiter.wait(due_ns, due_ns + 1000 * MS, now_ns)
    return now_ns - due_ns


def test_a_due_time_is_met_within_a_millisecond(waiter: Waiter) -> None:
    """Half of the time at least, on a busy machine, for gaps that epoll would round up to the next millisecond."""
    assert statistics.median(overshoot_ns(waiter, 1_300_000) for _ in range(31)) < MS


def test_a_wait_is_a_handful_of_turns_and_not_a_busy_loop(waiter: Waiter) -> None:
    """One turn wakes for the due time; a timer that fired is not told of again and again."""
    due_ns = time.monotonic_ns() + 20 * MS
    turns = 0
    while (now_ns := time.monotonic_ns()) < due_ns:
        waiter.wait(due_ns, due_ns + 1000 * MS, now_ns)
        turns += 1
    assert turns <= 3


def test_a_past_due_time_does_not_wait(waiter: Waiter) -> None:
    """It is overdue."""
    began_ns = time.monotonic_ns()
    waiter.wait(began_ns - 5 * MS, began_ns + 60_000 * MS, began_ns)
    assert time.monotonic_ns() - began_ns < 1000 * MS


def test_a_readable_socket_ends_the_wait(waiter: Waiter) -> None:
    """Long before the due time."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        waiter.register(ours.fileno(), select.EPOLLIN)
        theirs.send(b"x")
        now_ns = time.monotonic_ns()
        assert waiter.wait(now_ns + 60_000 * MS, NEVER, now_ns) == [(ours.fileno(), select.EPOLLIN)]
        assert waiter.poll() == [(ours.fileno(), select.EPOLLIN)]


def test_a_socket_ends_the_polling_too() -> None:
    """A due time is near, but an answer is nearer."""
    ours, theirs = socket.socketpair()
    with ours, theirs, Waiter(spin_ns=60_000 * MS) as waiter:
        waiter.register(ours.fileno(), select.EPOLLIN)
        theirs.send(b"x")
        now_ns = time.monotonic_ns()
        assert waiter.wait(now_ns + 50_000 * MS, NEVER, now_ns) == [(ours.fileno(), select.EPOLLIN)]


def test_without_a_due_time_it_waits_for_the_latest_moment(waiter: Waiter) -> None:
    """And a due time that has passed before does not wake it again."""
    overshoot_ns(waiter, MS)
    waiter.poll()
    began_ns = time.monotonic_ns()
    assert waiter.wait(NEVER, began_ns + 30 * MS, began_ns) == []
    assert time.monotonic_ns() >= began_ns + 29 * MS
