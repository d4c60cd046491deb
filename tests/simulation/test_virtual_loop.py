"""Virtual time: exact, in order, at once; and programs that die as a whole."""

import asyncio
import time

import pytest

from simulation.virtual_loop import NothingLeftToHappen, Program, TimeStandsStill, VirtualClock, VirtualLoop


def test_a_day_passes_at_once_and_exactly() -> None:
    """Sleeping costs no time, and wakes at the very moment that was asked for."""
    loop, began = VirtualLoop(), time.monotonic()

    async def day() -> list[float]:
        moments = []
        for _ in range(24):
            await asyncio.sleep(3600)
            moments.append(loop.time())
        return moments

    assert loop.run_until_complete(day()) == [3600.0 * hour for hour in range(1, 25)]
    assert time.monotonic() - began < 1


def test_what_is_due_at_once_runs_in_the_order_in_which_it_was_asked_for() -> None:
    """Timers of the same moment, and callbacks of now."""
    loop, told = VirtualLoop(), list[str]()
    for name in "abc":
        loop.call_later(5, told.append, name)
    loop.call_soon(told.append, "now")
    loop.call_later(1, told.append, "cancelled").cancel()
    loop.run_until(4.9)
    assert told == ["now"]
    loop.run_until(5)
    assert told == ["now", "a", "b", "c"]
    assert loop.time() == 5


def test_threads_run_in_line_and_their_errors_come_back() -> None:
    """asyncio.to_thread is deterministic here."""
    loop = VirtualLoop()
    assert loop.run_until_complete(asyncio.to_thread(sum, [1, 2])) == 3
    with pytest.raises(ZeroDivisionError):
        loop.run_until_complete(asyncio.to_thread(lambda: 1 / 0))


def test_a_timeout_is_virtual() -> None:
    """asyncio.wait_for measures the loop's time."""
    loop = VirtualLoop()
    with pytest.raises(TimeoutError):
        loop.run_until_complete(asyncio.wait_for(asyncio.Event().wait(), 7))
    assert loop.time() == 7


def test_waiting_for_what_never_comes_is_noticed() -> None:
    """Instead of hanging."""
    loop = VirtualLoop()

    async def wait() -> None:
        await loop.create_future()

    with pytest.raises(NothingLeftToHappen):
        loop.run_until_complete(wait())


def test_a_loop_that_spins_is_noticed() -> None:
    """Whoever asks to be woken at once, for ever, would stop time."""
    loop = VirtualLoop()

    def spin() -> None:
        loop.call_later(0, spin)

    spin()
    with pytest.raises(TimeStandsStill):
        loop.run_until(1)


async def count(told: list[float], loop: VirtualLoop) -> None:
    """Tells the time every second."""
    while True:
        await asyncio.sleep(1)
        told.append(loop.time())


async def parent(told: list[float], loop: VirtualLoop) -> None:
    """Counts in a child."""
    await asyncio.gather(asyncio.create_task(count(told, loop)))


def test_a_killed_program_does_nothing_any_more() -> None:
    """Nor does any task that it started; another program goes on."""
    loop, dead, alive = VirtualLoop(), list[float](), list[float]()
    program, other = Program("p", loop), Program("q", loop)
    program.spawn(parent(dead, loop))
    other.spawn(parent(alive, loop))
    loop.run_until(2.5)
    program.kill()
    loop.run_until(5)
    assert dead == [1, 2]
    assert alive == [1, 2, 3, 4, 5]
    other.kill()
    loop.run_until(6)


def test_a_program_that_is_held_up_catches_up_later() -> None:
    """Its callbacks come late; the rest of the world keeps time."""
    loop, late, prompt = VirtualLoop(), list[float](), list[float]()
    program, other = Program("p", loop), Program("q", loop)
    program.spawn(parent(late, loop))
    other.spawn(parent(prompt, loop))
    loop.run_until(1.5)
    program.hold_up(10)
    loop.run_until(13)
    assert late == [1, 11.5, 12.5]
    assert prompt == list(range(1, 14))
    program.kill()
    other.kill()
    loop.run_until(14)


def test_only_the_wall_clock_can_be_wrong() -> None:
    """A step changes what time it is, not how long something takes."""
    loop = VirtualLoop()
    clock = VirtualClock(loop)
    before, began_ns = clock.utc_now(), clock.monotonic_ns()
    loop.run_until(60)
    clock.wrong_by = clock.wrong_by.__class__(hours=-1)
    assert (clock.utc_now() - before).total_seconds() == 60 - 3600
    assert clock.monotonic_ns() - began_ns == 60_000_000_000
