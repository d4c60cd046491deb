"""Two leaders on one database, at the same time: whatever one does, the other may do beside it."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field

import pytest
from support.clocks import FakeClock
from support.desks import Workplace, failure, registration, success, workplace
from support.mongo_servers import MongoServer, running_mongo, server_names

from shared.errors import Conflict, InferBenchError, StaleFence
from shared.jobs.lifecycle import Cause, RunState
from shared.wire.assignment import Assignment
from shared.wire.identity import Heartbeat

FOLLOWERS = 6


@pytest.fixture(scope="module", params=server_names())
def server(request: pytest.FixtureRequest) -> Iterator[MongoServer]:
    """Every server that we claim to run on."""
    with running_mongo(request.param) as running:
        yield running


@dataclass
class Pair:
    """Two leaders, and followers f1, f2, ... that talk to either of them."""

    first: Workplace
    second: Workplace

    @property
    def both(self) -> tuple[Workplace, Workplace]:
        return self.first, self.second

    def advance(self, seconds: float) -> None:
        """Let time pass, for both."""
        self.first.clock.advance(seconds)

    async def reap(self) -> int:
        """A round of each leader's reaper, at once; how many runs they took back in all."""
        return sum(await asyncio.gather(*(place.desk.reaper.run_once() for place in self.both)))

    async def all_heard(self) -> None:
        """Every follower is alive."""
        for number in range(1, FOLLOWERS + 1):
            await self.first.desk.followers.heartbeat(f"f{number}", Heartbeat(incarnation="i-1"))


@pytest.fixture
async def pair(server: MongoServer) -> AsyncIterator[Pair]:
    """Two leaders on an empty database."""
    url, clock = server.fresh_url(), FakeClock()
    async with (
        workplace(url, followers=FOLLOWERS, clock=clock) as first,
        workplace(url, followers=0, clock=clock) as second,
    ):
        yield Pair(first, second)


@dataclass
class Work:
    """Followers that claim, lose, fail and deliver runs, each call through a leader drawn by lot."""

    pair: Pair
    dice: random.Random
    losses: float = 0.2
    given: list[Assignment] = field(default_factory=list)  # everything that anybody got
    succeeded: Counter[str] = field(default_factory=Counter)  # run -> successes that counted

    def leader(self) -> Workplace:
        return self.dice.choice(self.pair.both)

    async def follower(self, name: str, rounds: int) -> None:
        """Take and end runs; one in five of them is lost: it is not heard of again before its lease is over."""
        for _ in range(rounds):
            given = await self.leader().claim(name)
            if given is None:
                await asyncio.sleep(0)
                continue
            self.given.append(given)
            held = await self.leader().db.runs.leased_to(name)
            assert [run.id for run in held] == [given.run_id], "a slot holds one run"
            fate = self.dice.random()
            if fate < self.losses:
                return
            await self.end(name, given, failed=fate < 1.5 * self.losses)

    async def end(self, name: str, given: Assignment, *, failed: bool) -> None:
        """Execute it, to its success or until the disk is full."""
        await self.leader().renew(given, name, started=True)
        result = failure(given, Cause.DISK_FULL) if failed else success(given, follower=name)
        answer = await self.leader().desk.queue.deliver(name, given.run_id, result)
        assert answer.accepted, "nobody else has it"
        self.succeeded[given.run_id] += not failed

    async def reaping(self, rounds: int) -> None:
        """Both leaders look for lost runs the while."""
        for _ in range(rounds):
            await self.pair.reap()
            await asyncio.sleep(0.005)


@pytest.mark.timeout(180)
async def test_each_run_is_executed_until_it_succeeded_and_never_twice_at_once(pair: Pair) -> None:
    """Submits, claims, losses, failures, results and reaping, through both leaders at once, for many rounds.

    Every run succeeds by exactly one result; no fence, no attempt and no slot is ever given twice.
    """
    work = Work(pair, random.Random(7))  # noqa: S311 - a reproducible test
    jobs: list[str] = []
    for round_ in range(18):
        if round_ < 8:
            submitted = await asyncio.gather(*(place.submit(repeats=2, seconds=1 + round_) for place in pair.both))
            jobs += [job.id for job in submitted]
        work.losses = 0.2 if round_ < 8 else 0.0
        await pair.all_heard()
        await pair.reap()  # before the same slot asks again, and is given the same run
        followers = (work.follower(f"f{number}", rounds=4) for number in range(1, FOLLOWERS + 1))
        await asyncio.gather(*followers, work.reaping(3))
        pair.advance(70)  # longer than a lease, and than any back-off
    runs = [run for job_id in jobs for run in await pair.first.db.runs.of_job(job_id)]
    assert len(runs) == 32
    states = Counter(run.status.state for run in runs)
    assert set(states) <= {RunState.SUCCEEDED, RunState.QUARANTINED, RunState.LOST}, states  # some lose too often
    assert states[RunState.SUCCEEDED] > 26
    for run in runs:
        assert work.succeeded[run.id] == (run.status.state is RunState.SUCCEEDED)
        claims = [event.fence for event in run.history if event.kind == "claimed"]
        assert len(claims) == len(set(claims)) == run.status.attempt
        assert sorted(given.fence for given in work.given if given.run_id == run.id) == claims
    assert sum(run.status.attempt for run in runs) == len(work.given) > len(runs)


async def test_a_run_that_both_leaders_offer_goes_to_one_follower(pair: Pair) -> None:
    """Each knows it as queued; the database decides."""
    for _ in range(10):
        job = await pair.first.submit()
        await pair.second.desk.lineup.look_now()
        answers = await asyncio.gather(
            *(place.claim(f"f{number}") for number, place in enumerate(pair.both * 3, start=1))
        )
        won = [given for given in answers if given is not None]
        assert [given.run_id for given in won] == [job.runs[0].id]
        (name,) = [f"f{number}" for number, given in enumerate(answers, start=1) if given is not None]
        assert (await pair.second.desk.queue.deliver(name, won[0].run_id, success(won[0], follower=name))).accepted


async def test_a_lost_run_is_taken_back_once(pair: Pair) -> None:
    """By whichever reaper is faster: one failure is counted, one event told."""
    jobs = [await place.submit() for place in pair.both * 2]
    for number, place in enumerate(pair.both * 2, start=1):
        await place.claimed(f"f{number}")
    pair.advance(19)
    assert await pair.reap() == len(jobs)
    for job in jobs:
        run = await pair.first.db.runs.get(job.runs[0].id)
        assert run.status.failures == {Cause.LEASE_EXPIRED: 1}
        assert [event.kind for event in run.history].count("requeued") == 1


async def test_a_cancel_through_the_other_leader_is_final(pair: Pair) -> None:
    """Of a run that executes, and of one that waits and that the first leader has in its line-up."""
    running, waiting = await pair.first.submit(), await pair.first.submit()
    given = await pair.first.claimed("f1")
    assert given.run_id == running.runs[0].id
    for job in (running, waiting):
        assert (await pair.second.desk.submissions.cancel_job(job.id)).state == "cancelled"
    with pytest.raises(StaleFence):
        await pair.first.renew(given, "f1", started=True)
    answer = await pair.first.desk.queue.deliver("f1", given.run_id, success(given))
    assert (answer.accepted, answer.state) == (False, "cancelled")
    assert await pair.first.claim("f1") is None
    assert await pair.first.claim("f2") is None
    assert await pair.first.state(waiting.runs[0].id) is RunState.CANCELLED


async def test_cancel_and_result_through_two_leaders_have_one_winner(pair: Pair) -> None:
    """And both sides are told the same."""
    for _ in range(10):
        job = await pair.first.submit()
        given = await pair.first.claimed("f1")
        delivered, cancelled = await asyncio.gather(
            pair.first.desk.queue.deliver("f1", given.run_id, success(given)),
            pair.second.desk.submissions.cancel_run(given.run_id),
            return_exceptions=True,
        )
        succeeded = await pair.second.state(job.runs[0].id) is RunState.SUCCEEDED
        assert not isinstance(delivered, BaseException)
        assert delivered.accepted == succeeded
        assert isinstance(cancelled, InferBenchError) == succeeded


async def test_one_key_through_two_leaders_is_one_job(pair: Pair) -> None:
    """Submitted at once, and once more when it runs."""
    jobs = await asyncio.gather(*(place.submit("the-key", body="x") for place in pair.both * 3))
    assert len({job.id for job in jobs}) == 1
    given = await pair.second.claimed("f1")
    assert given.job_id == jobs[0].id == (await pair.first.submit("the-key", body="x")).id
    assert await pair.first.claim("f2") is None


async def test_a_restart_through_the_other_leader_voids_the_lease(pair: Pair) -> None:
    """The leader that gave the run away hears nothing of it, and refuses the old incarnation all the same."""
    await pair.first.submit()
    given = await pair.first.claimed("f1")
    await pair.second.desk.followers.register(registration("f1", "i-2"))
    with pytest.raises(StaleFence):
        await pair.first.renew(given, "f1")
    with pytest.raises(Conflict):
        await pair.first.claim("f1")
