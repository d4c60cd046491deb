"""SIGKILL for the database under load: what was acknowledged is there afterwards."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import pytest
from support.desks import Workplace, success, workplace
from support.mongo_servers import running_mongo, talk_to_a_dead_server

from leader.perfdb.entities import JobFilter
from leader.perfdb.mongo import connect
from shared.errors import (
    Unavailable,
)
from shared.jobs.lifecycle import RunState

JOBS_PER_ROUND = 15
RESULTS_PER_ROUND = 5


@dataclass
class Load:
    """Several sides that submit, claim and deliver until the database dies, and what they were promised."""

    acknowledged: list[str] = field(default_factory=list)  # jobs
    accepted: list[str] = field(default_factory=list)  # runs whose result was
    enough: asyncio.Event = field(default_factory=asyncio.Event)

    async def submit(self, place: Workplace, owner: str) -> None:
        """One side that submits."""
        while True:
            self.acknowledged.append((await place.submit(owner=owner)).id)
            if len(self.acknowledged) >= JOBS_PER_ROUND and len(self.accepted) >= RESULTS_PER_ROUND:
                self.enough.set()

    async def work(self, place: Workplace, follower: str) -> None:
        """One follower."""
        while True:
            given = await place.claim(follower)
            if given is None:
                await asyncio.sleep(0.01)
                continue
            answer = await place.desk.queue.deliver(follower, given.run_id, success(given, follower=follower))
            assert answer.accepted
            self.accepted.append(given.run_id)

    async def until_killed(self, url: str, kill: Callable[[], None]) -> None:
        """All sides at once; the power is cut in the middle."""

        async def cut() -> None:
            await self.enough.wait()
            await asyncio.to_thread(kill)

        async with workplace(url, followers=3) as place:
            sides = [self.submit(place, owner) for owner in ("ann", "bob")]
            sides += [self.work(place, follower) for follower in ("f1", "f2", "f3")]
            *ends, _ = await asyncio.gather(*sides, cut(), return_exceptions=True)
        assert all(isinstance(end, Unavailable) for end in ends), ends


async def test_nothing_acknowledged_is_lost_by_kill_9() -> None:
    """Three SIGKILLs of the database under load: every job and every result that was answered is there afterwards."""
    with running_mongo("nx") as server:
        url = server.fresh_url() + "?serverSelectionTimeoutMS=2000"
        loads = [Load() for _ in range(3)]
        for load in loads:
            await talk_to_a_dead_server(partial(load.until_killed, url, server.kill))
            server.start()
        async with workplace(url) as place:
            while await place.desk.reconciler.run_once():
                pass
            stored = {job.id for job in await place.db.jobs.page(JobFilter(), before=None, limit=100_000)}
            assert {job_id for load in loads for job_id in load.acknowledged} <= stored
            for run_id in [run_id for load in loads for run_id in load.accepted]:
                assert await place.state(run_id) is RunState.SUCCEEDED
                assert (await place.desk.reads.record(run_id)).record.run_id == run_id


async def test_a_database_that_comes_back_is_used_again() -> None:
    """The client needs no restart."""
    with running_mongo("nx") as server:
        db, _ = connect(server.fresh_url() + "?serverSelectionTimeoutMS=1000")
        await db.prepare()
        server.kill()
        with pytest.raises(Unavailable):
            await db.ping()
        server.start()
        await db.ping()
        await db.close()
