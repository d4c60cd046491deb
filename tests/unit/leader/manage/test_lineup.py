"""The queue in memory: what moves while it is read is newer than what the reading brings."""

import asyncio
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace

import pytest
from support.clocks import FakeClock
from support.stored_runs import T0, lease, run

from leader.manage.ledger import Ledger
from leader.manage.lineup import FRESH_NS, REST, SMALL, Lineup, waiting_of
from leader.perfdb.entities import Run, WaitingRun
from shared.errors import Unavailable
from shared.jobs import lifecycle
from shared.jobs.lifecycle import Cause, RunState
from shared.scheduling.backlog import SlotKey
from shared.scheduling.binding import Binding


class Runs:
    """The part of RunStore that a line-up reads, with something that happens in the middle of a reading."""

    def __init__(self, clock: FakeClock) -> None:
        self.stored: dict[str, Run] = {}
        self.bound: list[tuple[tuple[str, ...], SlotKey]] = []
        self.meanwhile: Callable[[], None] = lambda: None
        self.takes_s = 0.0
        self.looks = 0
        self._clock = clock

    async def add_all(self, runs: Sequence[Run]) -> None:
        self.stored |= {one.id: one for one in runs}

    async def waiting(self, *, limit: int) -> list[WaitingRun]:
        self.looks += 1
        found = [waiting_of(one) for one in self.stored.values() if one.status.state is RunState.QUEUED]
        await asyncio.sleep(0)
        self._clock.advance(self.takes_s)
        self.meanwhile()
        return found[:limit]

    async def leased(self) -> list[Run]:
        return [one for one in self.stored.values() if one.status.state.is_leased]

    async def bind(self, run_ids: Collection[str], slot: SlotKey) -> None:
        self.bound.append((tuple(run_ids), slot))


@pytest.fixture
def clock() -> FakeClock:
    """Time by hand."""
    return FakeClock()


@pytest.fixture
def runs(clock: FakeClock) -> Runs:
    """Nothing stored yet."""
    return Runs(clock)


@pytest.fixture
def lineup(runs: Runs, clock: FakeClock) -> Lineup:
    """A line-up that has looked at nothing yet."""
    ledger = Ledger(None, None, clock)  # type: ignore[arg-type]  # nothing is noted here
    return Lineup(runs, ledger, clock)  # type: ignore[arg-type]  # the part that it calls


def claimed(queued: Run) -> Run:
    """The run in a follower's hands."""
    return replace(queued, status=lifecycle.claim(queued.status, lease(), T0))


def waits(lineup: Lineup) -> set[str]:
    """Who waits."""
    return {one.run_id for one in lineup.backlog}


async def test_what_is_stored_waits_and_what_is_claimed_does_not(lineup: Lineup) -> None:
    """At once, without a look; a requeued run waits again."""
    await lineup.store([run(1), run(2)])
    held = claimed(run(1))
    lineup.moved(held)
    assert waits(lineup) == {run(2).id}
    assert [one.id for one in lineup.live] == [run(1).id]
    lineup.moved(replace(held, status=lifecycle.requeue(held.status, Cause.LEASE_EXPIRED, "silent", T0)))
    assert waits(lineup) == {run(1).id, run(2).id}
    assert lineup.live == []
    assert (lineup.queued_by("vision"), lineup.queued_by("nobody")) == (2, 0)


async def test_a_run_that_came_during_a_look_stays(lineup: Lineup, runs: Runs) -> None:
    """The look did not see it."""
    runs.meanwhile = lambda: lineup.moved(run(1))
    await lineup.look_now()
    assert waits(lineup) == {run(1).id}


async def test_a_run_that_was_claimed_during_a_look_does_not_come_back(lineup: Lineup, runs: Runs) -> None:
    """The look saw it queued."""
    await lineup.store([run(1), run(2)])
    runs.meanwhile = lambda: lineup.moved(claimed(run(1)))
    await lineup.look_now()
    assert waits(lineup) == {run(2).id}
    assert [one.id for one in lineup.live] == [run(1).id]


async def test_a_run_that_ended_during_a_look_is_not_live(lineup: Lineup, runs: Runs) -> None:
    """The look saw it running."""
    held = claimed(run(1))
    runs.stored[held.id] = held
    runs.meanwhile = lambda: lineup.moved(replace(held, status=lifecycle.succeed(held.status)))
    await lineup.look_now()
    assert lineup.live == []


async def test_a_run_that_is_about_to_be_claimed_is_nobody_elses(lineup: Lineup) -> None:
    """Put back where the claim failed for a reason of the slot's."""
    await lineup.store([run(1)])
    entry = lineup.take(run(1).id)
    assert waits(lineup) == set()
    lineup.put_back(entry)
    lineup.put_back(entry)
    assert waits(lineup) == {run(1).id}


async def test_a_look_sees_what_other_leaders_did(lineup: Lineup, runs: Runs, clock: FakeClock) -> None:
    """New, gone, and requeued under another fence; not before a second has passed."""
    await lineup.store([run(1), run(2)])
    await lineup.look_now()
    lost = claimed(run(2))
    back = replace(lost, status=lifecycle.requeue(lost.status, Cause.LEASE_EXPIRED, "silent", T0), predicted_s=99.0)
    runs.stored = {run(2).id: back, run(3).id: run(3)}
    await lineup.look()
    assert waits(lineup) == {run(1).id, run(2).id}
    clock.advance(FRESH_NS / 1e9)
    await lineup.look()
    assert waits(lineup) == {run(2).id, run(3).id}
    assert lineup.backlog[run(2).id].predicted_s == 99.0


async def test_a_long_queue_is_looked_at_seldom_and_behind_the_callers_back(
    lineup: Lineup, runs: Runs, clock: FakeClock
) -> None:
    """A look of two seconds is repeated after two times ``REST`` seconds, and nobody waits for it."""
    runs.takes_s = 2.0
    await lineup.store([run(number) for number in range(1, SMALL + 2)])
    await lineup.look()
    assert runs.looks == 1
    clock.advance(2.0 * REST - 1.0)
    await lineup.look()
    assert runs.looks == 1
    clock.advance(1.0)
    runs.stored[run(9999).id] = run(9999)
    await lineup.look()
    assert run(9999).id not in lineup.backlog
    for _ in range(5):
        await asyncio.sleep(0)
    assert runs.looks == 2
    assert run(9999).id in lineup.backlog


async def test_a_first_look_that_fails_is_told_and_tried_again(lineup: Lineup, runs: Runs) -> None:
    """Nothing is decided on a queue that was never seen."""

    def fail() -> None:
        raise Unavailable("the store is away")

    runs.meanwhile = fail
    with pytest.raises(Unavailable):
        await lineup.look()
    runs.meanwhile = lambda: None
    runs.stored[run(1).id] = run(1)
    await lineup.look()
    assert waits(lineup) == {run(1).id}


async def test_callers_at_once_share_a_look(lineup: Lineup, runs: Runs) -> None:
    """And all of them see what it brought."""
    runs.stored[run(1).id] = run(1)
    await asyncio.gather(*(lineup.look() for _ in range(5)))
    assert runs.looks == 1
    assert waits(lineup) == {run(1).id}


async def test_bindings_are_stored_once_for_each_slot(lineup: Lineup, runs: Runs) -> None:
    """And counted, so that round-robin goes on where it was."""
    await lineup.store([run(1), run(2), run(3)])
    here, there = SlotKey("f1", "cpu-0"), SlotKey("f2", "cpu-0")
    slots = (here, there, here)
    await lineup.bind([Binding(run(number).id, slot) for number, slot in enumerate(slots, 1)])
    assert runs.bound == [((run(1).id, run(3).id), here), ((run(2).id,), there)]
    assert lineup.backlog[run(3).id].bound_to == here
    assert lineup.bound_so_far == 3
