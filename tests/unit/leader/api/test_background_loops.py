"""Loops beside the requests: kept alive, and honest about it."""

import asyncio
from datetime import UTC, datetime

import pytest

from leader.background import SETTLED_AFTER_NS, Background, every
from shared.errors import Unavailable


class MovableClock:
    """A clock that stands still until it is moved."""

    now_ns = 0

    def monotonic_ns(self) -> int:
        return self.now_ns

    def utc_now(self) -> datetime:
        return datetime(2030, 1, 1, tzinfo=UTC)


async def test_a_loop_that_dies_is_started_again_and_shows() -> None:
    """The third life lives on; readiness tells why it died until it has settled."""
    lives, living, clock = 0, asyncio.Event(), MovableClock()

    async def fragile() -> None:
        nonlocal lives
        lives += 1
        if lives < 3:
            raise ValueError("bad luck")
        living.set()
        await asyncio.Event().wait()

    async with asyncio.timeout(5), Background({"fragile": fragile}, clock, restart_after_s=0) as background:
        await living.wait()
        assert background.unsettled() == {"fragile": "ValueError: bad luck"}
        assert background.health["fragile"].deaths == 2
        clock.now_ns += SETTLED_AFTER_NS + 1
        assert background.unsettled() == {}


async def test_a_loop_that_returns_counts_as_dead() -> None:
    """Loops are meant to run for ever."""

    async def short() -> None:
        await asyncio.sleep(0)

    async with Background({"short": short}, MovableClock(), restart_after_s=60) as background:
        for _ in range(5):
            await asyncio.sleep(0)
        assert background.unsettled() == {"short": "it returned"}


async def test_one_loops_death_leaves_the_others_alone() -> None:
    """Loops fail one by one."""

    async def dies() -> None:
        raise OSError("gone")

    async def lives() -> None:
        await asyncio.Event().wait()

    async with Background({"dies": dies, "lives": lives}, MovableClock(), restart_after_s=60) as background:
        await asyncio.sleep(0.01)
        assert background.unsettled() == {"dies": "OSError: gone"}


async def test_leaving_stops_every_loop() -> None:
    """No task outlives the leader."""
    stopped = asyncio.Event()

    async def loop() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()

    async with Background({"loop": loop}, MovableClock()):
        await asyncio.sleep(0)
    assert stopped.is_set()


class Enough(Exception):
    """Ends an endless loop."""


async def test_every_acts_again_and_again() -> None:
    """A periodic act happens at once and then after each interval."""
    done = 0

    async def act() -> None:
        nonlocal done
        done += 1
        if done == 3:
            raise Enough

    with pytest.raises(Enough):
        await every(0, act)()
    assert done == 3


async def test_a_loop_that_swallows_a_cancel_is_cancelled_again() -> None:
    """Else the leader would wait for it for ever when it stops."""
    swallowed = asyncio.Event()

    async def stubborn() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            swallowed.set()
        await asyncio.Event().wait()

    async with asyncio.timeout(5), Background({"stubborn": stubborn}, MovableClock()):
        await asyncio.sleep(0)
    assert swallowed.is_set()


async def test_an_outage_of_the_store_is_outlived() -> None:
    """It is no death: the next round does what this one could not."""
    rounds = 0

    async def act() -> None:
        nonlocal rounds
        rounds += 1
        raise Unavailable("the store is away") if rounds < 3 else Enough

    with pytest.raises(Enough):
        await every(0, act)()
    assert rounds == 3
