"""Announcing what is stored: at least once, to whoever could run it, and not again without need."""

import asyncio
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import pytest
from support.clocks import FakeClock
from support.desks import RecordingBell
from support.desks import registration as announced_by
from support.stored_runs import T0, job, lease, run

from leader.manage.ledger import Ledger
from leader.manage.lineup import Lineup, waiting_of
from leader.manage.outbox import PAGE, REST, Outbox
from leader.manage.policy import LeasePolicy
from leader.manage.presence import Presence
from leader.manage.roster import Roster
from leader.perfdb.entities import AcceptedJob, Follower, Job, Run, WaitingRun
from shared.errors import Unavailable
from shared.jobs import ids, lifecycle
from shared.jobs.lifecycle import RunState
from shared.scheduling.needs import Need

NEEDS = tuple(
    Need(f"service.{field}", value)
    for field, value in (("platform", "onnxruntime"), ("launch", "process"), ("protocol", "http"), ("device", "cpu"))
)


@dataclass
class Database:
    """What several leaders share: the parts of JobStore, RunStore and FollowerStore that announcing reads."""

    clock: FakeClock
    jobs: dict[str, Job] = field(default_factory=dict)
    runs: dict[str, Run] = field(default_factory=dict)
    followers: list[Follower] = field(default_factory=list)
    looks: list[str] = field(default_factory=list)
    read: int = 0  # jobs, by all rounds
    fails: bool = False
    takes_s: float = 0.0
    is_shared: bool = True  # another leader is at work
    beats: dict[str, int] = field(default_factory=dict)
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    answering: asyncio.Event = field(default_factory=asyncio.Event)

    def stored(self, *, runs: int = 1, of: int | None = None, ahead_s: float = 0.0) -> Job:
        """A job of ``of`` runs, accepted now by a leader whose clock is ahead, of which so many runs are stored."""
        now = self.clock.now + timedelta(seconds=ahead_s)
        number = len(self.jobs)
        named = job(number, id=ids.new_job_id(now, number.to_bytes(ids.RANDOM_BYTES, "big")), run_count=of or runs)
        self.jobs[named.id] = named
        self.more_runs(named, runs)
        return named

    def more_runs(self, named: Job, until: int) -> None:
        """Runs of the job are stored up to this index."""
        there = sum(one.job_id == named.id for one in self.runs.values())
        for index in range(there, until):
            one = run(1, index, id=ids.run_id(named.id, index), job_id=named.id, needs=NEEDS)
            self.runs[one.id] = one

    async def accepted(self, *, after: str, limit: int) -> list[AcceptedJob]:
        self._work()
        found = sorted(job_id for job_id in self.jobs if job_id > after)[:limit]
        self.read += len(found)
        return [AcceptedJob(id=job_id, run_count=self.jobs[job_id].run_count) for job_id in found]

    async def waiting_of(self, job_id: str) -> tuple[int, list[WaitingRun]]:
        self.looks.append(job_id)
        found = [one for one in self.runs.values() if one.job_id == job_id]
        return len(found), [waiting_of(one) for one in found if one.status.state is RunState.QUEUED]

    async def waiting(self, *, limit: int) -> list[WaitingRun]:
        found = [waiting_of(one) for one in self.runs.values() if one.status.state is RunState.QUEUED][:limit]
        self.asked.set()
        await self.answering.wait()
        return found

    async def leased(self) -> list[Run]:
        return [one for one in self.runs.values() if one.status.state.is_leased]

    async def all(self) -> list[Follower]:
        self._work()
        return self.followers

    @property
    def leaders(self) -> "Marks":
        return Marks(self)

    def _work(self) -> None:
        self.clock.advance(self.takes_s)
        if self.fails:
            raise Unavailable("the store is away")


@dataclass
class Marks:
    """LeaderStore: the marks of the leaders under test, and that of another one while the database is shared."""

    database: Database

    async def put(self, name: str, beats: int) -> None:
        self.database.beats[name] = beats

    async def all(self) -> dict[str, int]:
        other = {"elsewhere": self.database.clock.monotonic_ns()} if self.database.is_shared else {}
        return {**self.database.beats, **other}


@dataclass
class Leader:
    """One leader's outbox, line-up and bell on the shared database."""

    outbox: Outbox
    lineup: Lineup
    bell: RecordingBell

    @classmethod
    def on(cls, database: Database) -> "Leader":
        clock, bell = database.clock, RecordingBell()
        store: Any = database  # it has the methods that are called
        lineup, roster = Lineup(store, Ledger(store, store, clock), clock), Roster(store, clock)
        outbox = Outbox(
            jobs=store, runs=store, presence=Presence(store.leaders, clock), lineup=lineup, roster=roster, bell=bell,
            clock=clock, policy=LeasePolicy(),
        )  # fmt: skip
        return cls(outbox, lineup, bell)

    def waits(self) -> set[str]:
        """Who waits in this leader's line-up."""
        return {one.run_id for one in self.lineup.backlog}


async def rounds(leader: Leader, database: Database, count: int = 1) -> int:
    """So many rounds of the leader, a second apart; how many jobs they announced."""
    announced = 0
    for _ in range(count):
        announced += await leader.outbox.run_once()
        database.clock.advance(1.0)
    return announced


@pytest.fixture
def database() -> Database:
    """Followers f1 and f2 can run what is stored; f3 has another device, f4 is cordoned, f5 was silent for long."""
    clock = FakeClock()
    able = [announced_by(name) for name in ("f1", "f2", "f3", "f4", "f5")]
    slots = tuple(slot.model_copy(update={"device": "cuda"}) for slot in able[2].slots)
    able[2] = able[2].model_copy(update={"slots": slots})
    followers = [Follower(registration=each, last_seen_at=clock.now + timedelta(hours=1)) for each in able]
    followers[3] = replace(followers[3], cordoned=True)
    followers[4] = replace(followers[4], last_seen_at=clock.now - timedelta(hours=1))
    return Database(clock, followers=followers)


async def test_what_a_leader_accepted_and_died_before_ringing_is_announced_by_the_next(database: Database) -> None:
    """It was stored half a minute before the new leader started; only those are rung that could run it."""
    named = database.stored(runs=2)
    database.clock.advance(30)
    leader = Leader.on(database)
    database.answering.set()
    await leader.lineup.look_now()
    assert await rounds(leader, database) == 1
    assert leader.waits() == {ids.run_id(named.id, 0), ids.run_id(named.id, 1)}
    assert leader.bell.rung == ["f1", "f2"]


async def test_what_waits_here_already_is_rung_for_and_not_read_again(database: Database) -> None:
    """A leader that starts has just read the queue; of a job of which a run has ended it cannot know all."""
    database.stored(runs=100)
    begun = database.stored(runs=2)
    ended = database.runs[ids.run_id(begun.id, 0)]
    database.runs[ended.id] = replace(ended, status=lifecycle.cancel(ended.status))
    leader = Leader.on(database)
    database.answering.set()
    await leader.lineup.look_now()
    assert await rounds(leader, database) == 2
    assert (database.looks, leader.bell.rung) == ([begun.id], ["f1", "f2"])


async def test_another_leaders_job_waits_here_a_round_later(database: Database) -> None:
    """Whatever the line-up's own looks do: it makes none."""
    here, there = Leader.on(database), Leader.on(database)
    await rounds(here, database, 3)
    named = database.stored()
    with there.outbox.announcing(named):
        there.bell.ring("f1")
    assert await rounds(here, database) == 1
    assert here.waits() == {ids.run_id(named.id, 0)}
    assert await rounds(there, database) == 0
    assert there.bell.rung == ["f1"]


@pytest.mark.parametrize("ahead_s", [-7.0, 0.0, 7.0, 600.0])
async def test_leaders_whose_clocks_disagree_announce_each_others_jobs_once(database: Database, ahead_s: float) -> None:
    """A job in each of twenty seconds."""
    leader = Leader.on(database)
    for count in range(1, 21):
        database.stored(ahead_s=ahead_s)
        assert await rounds(leader, database) == 1
        assert len(leader.waits()) == count
    assert await rounds(leader, database, 20) == 0
    assert sorted(database.looks) == sorted(database.jobs)


async def test_many_jobs_of_a_round_are_one_ring_for_each_follower(database: Database) -> None:
    """Of more jobs than are read at once."""
    leader = Leader.on(database)
    for _ in range(PAGE + 5):
        database.stored()
    assert await rounds(leader, database) == PAGE + 5
    assert leader.bell.rung == ["f1", "f2"]


async def test_a_job_whose_runs_are_not_stored_yet_is_announced_once_they_are(database: Database) -> None:
    """What is there may run already; the rest follows when somebody has completed it."""
    leader = Leader.on(database)
    named = database.stored(runs=0, of=3)
    assert await rounds(leader, database) == 0
    assert (leader.waits(), leader.bell.rung) == (set(), [])
    database.more_runs(named, 2)
    assert await rounds(leader, database) == 0
    assert (len(leader.waits()), leader.bell.rung) == (2, ["f1", "f2"])
    assert await rounds(leader, database) == 0
    database.more_runs(named, 3)
    assert await rounds(leader, database, 5) == 1
    assert len(leader.waits()) == 3
    assert leader.bell.rung == ["f1", "f2"] * 2
    assert await rounds(leader, database, 30) == 0


async def test_a_submit_here_is_not_announced_again(database: Database) -> None:
    """It rang itself; a round in the middle of it leaves it alone, too."""
    leader = Leader.on(database)
    named = database.stored()
    with leader.outbox.announcing(named):
        assert await rounds(leader, database) == 0
    assert await rounds(leader, database, 20) == 0
    assert (database.looks, leader.bell.rung) == ([], [])


async def test_a_submit_here_that_failed_after_storing_is_announced(database: Database) -> None:
    """The client was told of an outage; the job is accepted all the same."""
    leader = Leader.on(database)
    named = database.stored()

    def submit() -> None:
        with leader.outbox.announcing(named):
            raise Unavailable("no answer")

    with pytest.raises(Unavailable):
        submit()
    assert await rounds(leader, database) == 1
    assert leader.bell.rung == ["f1", "f2"]


async def test_an_outage_postpones_and_loses_nothing(database: Database) -> None:
    """Ten minutes without the store, in which another leader, which had it, accepted a job."""
    leader = Leader.on(database)
    await rounds(leader, database)
    named = database.stored()
    database.fails = True
    with pytest.raises(Unavailable):
        await leader.outbox.run_once()
    database.clock.advance(600)
    database.fails = False
    assert await rounds(leader, database) == 1
    assert leader.waits() == {ids.run_id(named.id, 0)}


async def test_what_runs_or_has_ended_is_announced_to_nobody(database: Database) -> None:
    """Another leader's follower was quicker; nobody is asked to look for nothing."""
    leader = Leader.on(database)
    database.stored()
    (one,) = database.runs.values()
    database.runs[one.id] = replace(one, status=lifecycle.claim(one.status, lease("f1"), T0))
    assert await rounds(leader, database) == 1
    assert (leader.waits(), leader.bell.rung) == (set(), [])


async def test_a_run_that_is_claimed_here_does_not_wait_again(database: Database) -> None:
    """A round that reads the job late finds it in this leader's hands."""
    leader = Leader.on(database)
    database.stored()
    (one,) = database.runs.values()
    leader.lineup.moved(replace(one, status=lifecycle.claim(one.status, lease("f1"), T0)))
    await rounds(leader, database)
    assert leader.waits() == set()


async def test_a_look_that_is_under_way_does_not_take_back_what_was_announced(database: Database) -> None:
    """The look read the queue before the job was stored."""
    leader = Leader.on(database)
    look = asyncio.create_task(leader.lineup.look_now())
    await database.asked.wait()
    named = database.stored()
    await rounds(leader, database)
    database.answering.set()
    await look
    assert leader.waits() == {ids.run_id(named.id, 0)}


async def test_two_rounds_at_once_do_no_harm(database: Database) -> None:
    """The same line-up; a follower that was rung twice looks twice."""
    leader = Leader.on(database)
    database.stored(runs=2)
    await asyncio.gather(leader.outbox.run_once(), leader.outbox.run_once())
    assert len(leader.waits()) == 2
    assert set(leader.bell.rung) == {"f1", "f2"}
    assert await rounds(leader, database, 3) == 0


async def test_a_slow_store_is_asked_more_seldom(database: Database) -> None:
    """Half a second of reading is followed by ``REST`` times as long without."""
    leader = Leader.on(database)
    database.takes_s = 0.5
    await leader.outbox.run_once()
    database.takes_s = 0.0
    database.stored()
    database.clock.advance(0.5 * REST - 1.0)
    assert await leader.outbox.run_once() == 0
    database.clock.advance(1.0)
    assert await leader.outbox.run_once() == 1


async def test_a_round_reads_what_is_new_and_not_the_whole_history(database: Database) -> None:
    """A thousand jobs that were announced cost nothing any more a quarter of a minute later."""
    leader = Leader.on(database)
    for _ in range(1000):
        database.stored()
    assert await rounds(leader, database, 15) == 1000
    database.read = 0
    database.stored()
    assert await rounds(leader, database) == 1
    assert database.read == 1


async def test_a_leader_that_is_alone_reads_nothing_after_its_first_round(database: Database) -> None:
    """All that is accepted is accepted here, and announced by its submit."""
    database.is_shared = False
    database.stored()
    leader = Leader.on(database)
    assert await rounds(leader, database) == 1
    for _ in range(50):
        with leader.outbox.announcing(database.stored()):
            pass
    database.read = 0
    assert await rounds(leader, database, 20) == 0
    assert database.read == 0


async def test_what_a_leader_that_has_just_come_accepts_is_announced_by_one_that_was_alone(database: Database) -> None:
    """It shows itself before it accepts anything."""
    database.is_shared = False
    here = Leader.on(database)
    await rounds(here, database, 100)
    there = Leader.on(database)
    await there.outbox._presence.beat()
    named = database.stored()
    assert await rounds(here, database) == 1
    assert here.waits() == {ids.run_id(named.id, 0)}


async def test_a_first_round_that_fails_in_the_middle_is_done_by_the_next_also_when_alone(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it has read is not forgotten."""
    database.is_shared = False
    database.stored()
    leader = Leader.on(database)

    async def fail(_: str) -> tuple[int, list[WaitingRun]]:
        raise Unavailable("the store is away")

    with monkeypatch.context() as patched:
        patched.setattr(database, "waiting_of", fail)
        with pytest.raises(Unavailable):
            await leader.outbox.run_once()
    assert await rounds(leader, database) == 1
