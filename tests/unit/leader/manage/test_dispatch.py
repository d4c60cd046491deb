"""Which run a slot gets and who wins it: the real parts on a store in memory, with rivals placed by hand."""

from datetime import timedelta
from typing import Any

import pytest
from simulation.memory import MemoryStore, OpenGate, perfdb_on
from support.assignments import run_spec
from support.clocks import FakeClock
from support.desks import registration
from support.stored_runs import lease, run

from leader.manage.dispatch import Dispatcher, hardware_of
from leader.manage.ledger import Ledger
from leader.manage.lineup import Lineup
from leader.manage.moves import Listeners, Mover
from leader.manage.policy import LeasePolicy
from leader.manage.roster import Roster
from leader.manage.scheduling import Scheduling
from leader.perfdb.entities import Follower, Run
from leader.perfdb.mongo import MongoPerfDB
from shared.errors import Conflict, Unavailable
from shared.jobs import lifecycle
from shared.jobs.lifecycle import Cause, RunState
from shared.scheduling.needs import needs_of
from shared.wire.identity import Gpu, Slot

SPEC = run_spec()
PLAIN: dict[str, Any] = {"needs": needs_of(SPEC), "model": None, "spec": SPEC.model_dump(mode="json")}


class Bench:
    """A dispatcher with followers f1 and f2 of one slot each."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.db: MongoPerfDB = perfdb_on(MemoryStore(), OpenGate())
        ledger = Ledger(self.db.spent, self.db.events, self.clock)
        self.lineup = Lineup(self.db.runs, ledger, self.clock)
        self.dispatcher = Dispatcher(
            runs=self.db.runs,
            mover=Mover(self.db.runs, Listeners(), self.clock, watchers=(self._follow,)),
            lineup=self.lineup,
            ledger=ledger,
            roster=Roster(self.db.followers, self.clock),
            scheduling=Scheduling(self.db.settings, self.lineup, self.clock),
            clock=self.clock,
            policy=LeasePolicy(),
        )

    async def _follow(self, moved: Run) -> None:
        self.lineup.moved(moved)

    def follower(self, name: str = "f1", **changes: Any) -> Follower:
        """One that was heard of just now."""
        return Follower(registration=registration(name), last_seen_at=self.clock.utc_now(), **changes)

    async def queue(self, *runs: Run) -> None:
        """They wait, and this leader knows."""
        await self.db.prepare()
        await self.lineup.store(runs)
        await self.lineup.look_now()

    async def claim(self, name: str = "f1", **changes: Any) -> Run | None:
        """What the follower's slot gets."""
        follower = self.follower(name, **changes)
        return await self.dispatcher.next_run(follower, follower.registration.slots[0])

    async def elsewhere(self, queued: Run, *, failed: bool = False) -> Run:
        """Another leader gives the run to another follower; ``failed``: and takes it back. This one hears nothing."""
        found = await self.db.runs.get(queued.id)
        status = lifecycle.claim(found.status, lease("rival", found.id), self.clock.utc_now())
        moved = await self.db.runs.move(found, status, at=self.clock.utc_now())
        assert moved is not None
        if failed:
            status = lifecycle.requeue(moved.status, Cause.DISK_FULL, "full", self.clock.utc_now())
            moved = await self.db.runs.move(moved, status, at=self.clock.utc_now())
            assert moved is not None
        return moved


def a_run(number: int, seconds: float = 10.0, **changes: Any) -> Run:
    """A queued run that every follower can run."""
    return run(number, predicted_s=seconds, **PLAIN, **changes)


async def test_a_claim_is_the_policys_choice_and_says_who_has_it() -> None:
    """The shorter one; lease, time and hardware are noted in the same move."""
    bench = Bench()
    await bench.queue(a_run(1, 60.0), a_run(2, 5.0))
    won = await bench.claim()
    assert won is not None
    assert won.id == a_run(2).id
    assert won == await bench.db.runs.get(won.id)
    held = won.status.lease
    assert held is not None
    assert (held.follower, held.incarnation, held.slot) == ("f1", "i-1", "cpu-0")
    assert held.expires_at == bench.clock.utc_now() + timedelta(seconds=15)
    assert (won.status.state, won.status.claimed_at) == (RunState.CLAIMED, bench.clock.utc_now())
    assert won.history[-1].data["hardware"] == "Test CPU (1 of 4)"
    assert [one.run_id for one in bench.lineup.backlog] == [a_run(1).id]


async def test_a_cordoned_follower_gets_nothing() -> None:
    """It is not even looked."""
    bench = Bench()
    await bench.queue(a_run(1))
    assert await bench.claim(cordoned=True) is None
    assert await bench.claim() is not None


async def test_runs_that_others_took_are_passed_over() -> None:
    """Each costs one lost race; what is left is won, and what is gone is no longer waited with."""
    bench = Bench()
    runs = [a_run(number, float(number)) for number in range(1, 8)]
    await bench.queue(*runs)
    for taken in runs[:6]:
        await bench.elsewhere(taken)
    won = await bench.claim()
    assert won is not None
    assert won.id == runs[6].id
    assert len(bench.lineup.backlog) == 0
    assert {one.id for one in bench.lineup.live} == {one.id for one in runs}


async def test_a_run_that_was_failed_elsewhere_is_taken_as_it_is_now() -> None:
    """What this leader ranked was the run before its failure: it backs off all the same."""
    bench = Bench()
    await bench.queue(a_run(1))
    back = await bench.elsewhere(a_run(1), failed=True)
    assert await bench.claim() is None
    assert bench.lineup.backlog[back.id].avoid == ("rival",)
    bench.clock.advance(2)
    won = await bench.claim()
    assert won is not None
    assert (won.status.attempt, won.status.failures) == (2, {Cause.DISK_FULL: 1})


async def test_a_run_that_another_leader_stored_is_found_where_nothing_else_waits() -> None:
    """A claim that would go away with nothing looks once more."""
    bench = Bench()
    await bench.queue()
    await bench.db.runs.add_all([a_run(1)])
    assert await bench.claim() is not None
    assert await bench.claim("f2") is None


async def test_a_race_that_is_lost_at_the_last_moment_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between reading the run and setting it another leader was faster: the next run is won."""
    bench = Bench()
    await bench.queue(a_run(1, 1.0), a_run(2, 2.0))
    move = bench.db.runs.move
    raced: list[str] = []

    async def raced_once(queued: Run, *given: Any, **named: Any) -> Run | None:
        if not raced:
            raced.append(queued.id)
            monkeypatch.setattr(bench.db.runs, "move", move)
            await bench.elsewhere(queued)
        return await move(queued, *given, **named)

    monkeypatch.setattr(bench.db.runs, "move", raced_once)
    won = await bench.claim()
    assert won is not None
    assert (raced, won.id) == ([a_run(1).id], a_run(2).id)


async def test_a_slot_that_is_taken_leaves_the_run_to_others() -> None:
    """The database refuses a second attempt on it; the run is still there for the next one."""
    bench = Bench()
    await bench.queue(a_run(1, 1.0), a_run(2, 2.0))
    assert await bench.claim() is not None
    with pytest.raises(Conflict, match="slot"):
        await bench.claim()
    won = await bench.claim("f2")
    assert won is not None
    assert won.id == a_run(2).id


async def test_a_store_that_goes_away_in_the_middle_costs_no_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asks next gets the run."""
    bench = Bench()
    await bench.queue(a_run(1))

    async def gone(*_: Any, **__: Any) -> Run:
        raise Unavailable("the store is away")

    for method in ("get", "move"):
        with monkeypatch.context() as patched:
            patched.setattr(bench.db.runs, method, gone)
            with pytest.raises(Unavailable):
                await bench.claim()
        assert [one.run_id for one in bench.lineup.backlog] == [a_run(1).id]
    assert await bench.claim() is not None


async def test_a_snapshot_has_the_live_followers_and_whoever_asks() -> None:
    """One that has not been heard of within its lease is left out, unless it is the one that asks."""
    bench = Bench()
    await bench.db.followers.put(registration("f1"), at=bench.clock.utc_now())
    bench.clock.advance(16)
    await bench.db.followers.put(registration("f2"), at=bench.clock.utc_now())
    assert [slot.key.follower for slot in (await bench.dispatcher.snapshot()).slots] == ["f2"]
    asking = await bench.dispatcher.snapshot(bench.follower("f1"))
    assert [slot.key.follower for slot in asking.slots] == ["f1", "f2"]


def test_hardware_is_the_slots_gpus_or_the_cores_that_serve() -> None:
    """What a leaderboard shows beside the figures."""
    plain = registration()
    gpus = (gpu(0, "NVIDIA H100"), gpu(1, "NVIDIA A100"))
    inventory = plain.inventory.model_copy(update={"gpus": gpus})
    follower = Follower(
        registration=plain.model_copy(update={"inventory": inventory}), last_seen_at=FakeClock().utc_now()
    )
    cpu = Slot(name="cpu-0", device="cpu", server_cores=(0, 1, 2), client_cores=(3,))
    assert hardware_of(follower, cpu) == "Test CPU (3 of 4)"
    assert hardware_of(follower, cpu.model_copy(update={"gpus": (1,)})) == "NVIDIA A100"
    assert hardware_of(follower, cpu.model_copy(update={"gpus": (0, 1)})) == "NVIDIA H100, NVIDIA A100"


def gpu(index: int, name: str) -> Gpu:
    """A GPU of which only the name matters."""
    return Gpu(index=index, name=name, memory_bytes=1, driver="550", uuid=f"GPU-{index}")
