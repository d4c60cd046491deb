"""Rounds that keep the queue moving, cut off at each of their calls to the store, done twice at once, done again.

Whatever happened on the way, the end is that of a round that nothing disturbed.
"""

import asyncio
import contextlib
import copy
import json
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeVar

import pytest
from pymongo.errors import AutoReconnect
from simulation.blobs import MemoryBlobs, StoredBlob
from simulation.memory import MemoryStore, Table, perfdb_on
from support.clocks import FakeClock
from support.desks import RecordingBell, Workplace, failure, registration, success

from leader.manage.desk import build_desk
from leader.manage.policy import LeasePolicy
from leader.perfdb import schema
from shared.errors import Unavailable
from shared.jobs.lifecycle import RunState
from shared.measure.record import SloCheck, Verdict
from shared.wire.assignment import Assignment

ResultT = TypeVar("ResultT")
Cut = Literal["before", "after"]

SEARCH: dict[str, Any] = {
    "pattern": "search", "slo": {"p99_ms": 50}, "start_rate": 10, "warmup": "0s", "duration": "1s",
}  # fmt: skip
SILENT_S = 19.0
"""Longer than a lease and its grace."""


@dataclass
class BreakingGate:
    """simulation.memory.Gate that fails the call with this number, before or after it was done, or calls by name."""

    fails_at: int = 0
    cut: Cut = "before"
    refused: str = ""
    calls: list[str] = field(default_factory=list)

    async def read(self, name: str, effect: Callable[[], ResultT]) -> ResultT:
        return await self.write(name, effect)

    async def write(self, name: str, effect: Callable[[], ResultT]) -> ResultT:
        self.calls.append(name)
        await asyncio.sleep(0)
        if name == self.refused:
            raise AutoReconnect("refused")
        if len(self.calls) == self.fails_at:
            if self.cut == "after":
                effect()
            raise AutoReconnect(f"cut off {self.cut} {name}")
        return effect()

    @contextmanager
    def refusing(self, name: str) -> Iterator[None]:
        """Meanwhile this call fails: its leader was about to make it, and died."""
        self.refused = name
        yield
        self.refused = ""


@dataclass
class World:
    """What outlives leaders: documents, blobs, time."""

    clock: FakeClock = field(default_factory=FakeClock)
    store: MemoryStore = field(default_factory=MemoryStore)
    contents: dict[str, StoredBlob] = field(default_factory=dict)

    async def leader(self, gate: BreakingGate | None = None) -> tuple[Workplace, BreakingGate]:
        """Another leader, started."""
        gate, bell = gate or BreakingGate(), RecordingBell()
        db, blobs = perfdb_on(self.store, gate), MemoryBlobs(self.contents, gate)
        desk = build_desk(
            perfdb=db, blobs=blobs, bell=bell, clock=self.clock, policy=LeasePolicy(), broker_url=None,
            max_upload_bytes=1_000_000,
        )  # fmt: skip
        await desk.start()
        stand_in: Any = blobs
        return Workplace(desk, db, stand_in, self.clock, bell), gate

    def states(self) -> list[tuple[str, str, int]]:
        """Team, state and attempt of every run."""
        runs = self.store.table(schema.RUNS).documents.values()
        return [(one["team"], one["status"]["state"], one["status"]["attempt"]) for one in runs]

    def again(self) -> "World":
        """The same, to be disturbed by itself."""
        twin = World(FakeClock(), MemoryStore(), copy.deepcopy(self.contents))
        twin.clock.now = self.clock.now
        for name, table in self.store.tables.items():
            copied = Table(name, twin.store._changed, copy.deepcopy(table.documents), dict(table.indexes))
            twin.store.tables[name] = copied
        return twin

    def essence(self) -> dict[str, Any]:
        """What is to be the same in the end: everything but who wrote it and when."""
        documents = {name: table.documents for name, table in self.store.tables.items()}
        return {
            "runs": {key: run_essence(one) for key, one in documents[schema.RUNS].items()},
            "jobs": {
                key: [one[name] for name in ("complete", "run_count", "searching", "steps")]
                for key, one in documents[schema.JOBS].items()
            },
            "tasks": {key: one["record_count"] for key, one in documents.get(schema.TASKS, {}).items()},
            **{name: sorted(documents.get(name, {})) for name in (schema.RECORDS, schema.LEADERBOARD, schema.SPENT)},
        }


def run_essence(document: dict[str, Any]) -> list[Any]:
    """Where it stands, how it came there, and what was derived from it."""
    status = document["status"]
    kinds = [event["kind"] for event in json.loads(document["history"])]
    return [*(status[name] for name in ("state", "fence", "attempt", "cause", "failures")), kinds, document["recorded"]]


@dataclass(frozen=True)
class HalfDone:
    """A world in which a leader died over all that it did, and what a test needs to know of it."""

    world: World
    well: Assignment  # of f8, which renews its lease

    def again(self) -> "HalfDone":
        """Another that is just like it."""
        return HalfDone(self.world.again(), self.well)


@pytest.fixture
async def half_done() -> HalfDone:
    """Something for every step of every round.

    Two runs of silent followers; a run that waits past its deadline; a success without its record; a failure whose
    usage was not noted; a search whose probe ended and whose next is not decided, and one whose next is decided and not
    stored; a job without its runs, and one that lacks a run. One run is well.
    """
    world = World()
    place, gate = await world.leader()
    for number in range(1, 9):
        await place.desk.followers.register(registration(f"f{number}"))
    await place.submit(team="well", seconds=60)
    well = await place.claimed("f8")
    for name in ("f1", "f2"):
        await place.submit(team="silent")
        await place.claimed(name)
    await succeeded(place, gate, "f3", dies_over="records.replace_one")
    await failed(place, gate, "f4", dies_over="spent.replace_one")
    await succeeded(place, gate, "f5", dies_over="jobs.update_one", workload=SEARCH)
    await succeeded(place, gate, "f6", dies_over="runs.insert_many", workload=SEARCH)
    await place.submit(team="late", deadline="10s")
    with gate.refusing("runs.insert_many"), pytest.raises(Unavailable):
        await place.submit(team="torn", repeats=2)
    lacking = await place.submit(team="torn", repeats=2)
    del world.store.table(schema.RUNS).documents[lacking.runs[1].id]
    await place.submit(team="other", repeats=2)
    return HalfDone(world, well)


async def succeeded(place: Workplace, gate: BreakingGate, follower: str, *, dies_over: str, **sections: Any) -> None:
    """A run whose leader kept its result, and died over a call that was to follow."""
    await place.submit(**sections)
    given = await place.claimed(follower)
    check = SloCheck(limit="p99_ms", allowed=50, measured=30, met=True)
    result = success(
        given, follower=follower, spec=given.spec.model_dump(mode="json"), slo=(check,), verdict=Verdict(kind="stable")
    )
    with gate.refusing(dies_over):
        assert (await place.desk.queue.deliver(follower, given.run_id, result)).accepted


async def failed(place: Workplace, gate: BreakingGate, follower: str, *, dies_over: str) -> None:
    """A run that ended by its own fault."""
    await place.submit()
    given = await place.claimed(follower)
    with gate.refusing(dies_over):
        assert (await place.desk.queue.deliver(follower, given.run_id, failure(given))).accepted


class Case(Protocol):
    """A kind of round."""

    async def prepare(self, place: Workplace, found: HalfDone) -> None:
        """What a leader has seen before."""
        ...

    async def round(self, place: Workplace) -> None:
        """The whole of it. Raises Unavailable."""
        ...

    def check(self, found: HalfDone) -> None:
        """What is to be so in the end, by what the test knows."""
        ...


class Reaping:
    """A leader has seen leases stand for long enough."""

    async def prepare(self, place: Workplace, found: HalfDone) -> None:
        await place.desk.reaper.run_once()
        found.world.clock.advance(SILENT_S)
        await place.renew(found.well, "f8")

    async def round(self, place: Workplace) -> None:
        await place.desk.reaper.run_once()

    def check(self, found: HalfDone) -> None:
        """Both silent ones are queued again once, the late one has ended, the one that is well goes on."""
        ends = Counter((team, state) for team, state, _ in found.world.states() if team in ("silent", "late", "well"))
        assert ends == {("silent", "queued"): 2, ("late", "timed-out"): 1, ("well", "claimed"): 1}
        assert {attempt for team, _, attempt in found.world.states() if team == "silent"} == {1}


class Reconciling:
    """What a crash left out is done by whoever comes by; the second round does what the first found in between."""

    async def prepare(self, place: Workplace, found: HalfDone) -> None:
        """Nothing."""

    async def round(self, place: Workplace) -> None:
        for _ in range(2):
            await place.desk.reconciler.run_once()

    def check(self, found: HalfDone) -> None:
        """Every job has its runs, every success its record, every end its usage, every search its next probe."""
        tables = found.world.store.tables
        runs = list(tables[schema.RUNS].documents.values())
        jobs = tables[schema.JOBS].documents
        assert Counter(one["job_id"] for one in runs) == {key: one["run_count"] for key, one in jobs.items()}
        assert all(one["complete"] for one in jobs.values())
        assert sorted(one["run_count"] for one in jobs.values() if one["searching"]) == [2, 2]
        over = [one for one in runs if RunState(one["status"]["state"]).is_terminal]
        assert len(over) == 4
        assert {one["_id"] for one in over} == set(tables[schema.SPENT].documents)
        assert len(tables[schema.RECORDS].documents) == len(tables[schema.LEADERBOARD].documents) == 3


class Announcing:
    """A job was accepted elsewhere after this leader's last look."""

    async def prepare(self, place: Workplace, found: HalfDone) -> None:
        assert ("other", "queued", 0) in found.world.states()
        for run_id in [run.run_id for run in place.desk.lineup.backlog if run.team == "other"]:
            place.desk.lineup.drop(run_id)

    async def round(self, place: Workplace) -> None:
        await place.desk.outbox.run_once()

    def check(self, found: HalfDone) -> None:
        """It writes nothing; that the leader knows of everything is checked after every round."""
        assert Counter(team for team, _, _ in found.world.states())["other"] == 2


CASES: dict[str, Case] = {"reaper": Reaping(), "reconciler": Reconciling(), "outbox": Announcing()}


@dataclass
class Played:
    """What came of a case: the calls of its first round, the end of it, and who was rung."""

    calls: list[str]
    essence: dict[str, Any]
    rung: set[str]


async def played(found: HalfDone, name: str, *, by: str, fails_at: int = 0, cut: Cut = "before") -> Played:
    """A round that is cut off at a call, if at any, and then one to the end: by the same leader or by another."""
    case, world = CASES[name], found.world
    place, gate = await world.leader()
    await case.prepare(place, found)
    gate.calls, gate.fails_at, gate.cut = [], fails_at, cut
    with contextlib.suppress(Unavailable):
        await case.round(place)
    calls, gate.fails_at = gate.calls, 0
    places = [place]
    if by == "another":
        place, _ = await world.leader()
        places.append(place)
        await case.prepare(place, found)
    await case.round(place)
    agrees_with_the_store(place, world)
    return Played(calls, world.essence(), {name for one in places for name in one.bell.rung})


def agrees_with_the_store(place: Workplace, world: World) -> None:
    """What the leader believes to wait and to run is what does."""
    runs = world.store.table(schema.RUNS).documents
    states = {key: RunState(one["status"]["state"]) for key, one in runs.items()}
    assert {run.run_id for run in place.desk.lineup.backlog} == {
        k for k, one in states.items() if one is RunState.QUEUED
    }
    assert {run.id for run in place.desk.lineup.live} == {key for key, state in states.items() if state.is_leased}


@pytest.mark.parametrize("by", ["the same", "another"])
@pytest.mark.parametrize("name", CASES)
async def test_a_round_does_all_that_was_left(half_done: HalfDone, name: str, by: str) -> None:
    """Nothing disturbs it."""
    outcome = await played(half_done, name, by=by)
    CASES[name].check(half_done)
    assert len(outcome.calls) >= 3


@pytest.mark.parametrize("by", ["the same", "another"])
@pytest.mark.parametrize("cut", ["before", "after"])
@pytest.mark.parametrize("name", CASES)
async def test_a_round_that_is_cut_off_anywhere_is_done_by_the_next(
    half_done: HalfDone, name: str, cut: Cut, by: str
) -> None:
    """At each call in turn: it was not made, or its answer was lost; the leader lives on, or another comes."""
    smooth = await played(half_done.again(), name, by=by)
    for number in range(1, len(smooth.calls) + 1):
        found = half_done.again()
        rough = await played(found, name, by=by, fails_at=number, cut=cut)
        where = f"cut off {cut} call {number}, {smooth.calls[number - 1]}"
        assert rough.essence == smooth.essence, where
        if name == "outbox":  # another ring that is lost costs a poll
            assert rough.rung == smooth.rung, where


@pytest.mark.parametrize("name", CASES)
async def test_a_round_done_by_two_leaders_at_once_is_done_once(half_done: HalfDone, name: str) -> None:
    """And by one leader twice at once."""
    smooth = await played(half_done.again(), name, by="the same")
    case = CASES[name]
    here, _ = await half_done.world.leader()
    there, _ = await half_done.world.leader()
    await case.prepare(here, half_done)
    if name == "reaper":  # it sees for itself how long leases stand
        await case.prepare(there, half_done)
    await asyncio.gather(case.round(here), case.round(there), case.round(here))
    await case.round(there)
    await case.round(here)
    case.check(half_done)
    assert half_done.world.essence() == smooth.essence


async def test_a_start_repairs_nothing_so_that_nobody_waits_for_it(half_done: HalfDone) -> None:
    """It writes no run and no job; a renewal and a claim are answered before the first round has repaired anything."""
    before = half_done.world.essence()
    place, _ = await half_done.world.leader()
    assert half_done.world.essence() == before
    assert await place.renew(half_done.well, "f8") == 15.0
    assert await place.claim("f7") is not None
