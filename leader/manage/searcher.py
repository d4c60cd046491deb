"""Carries a job's searches on: reads how probes ended, decides, stores the decision, then the runs that follow.

The decision is one compare-and-set on the job; its runs are derived from the job, under ids that follow from it. So
any leader may do any of this at any time and again: a step is taken once, and a run that a crash left out is stored by
whoever looks next.
"""

import asyncio
from collections.abc import Sequence
from typing import Final

import structlog

from leader.manage.blueprint import runs_of
from leader.manage.followers import Followers
from leader.manage.ledger import Ledger
from leader.manage.lineup import Lineup, waiting_of
from leader.manage.probes import Ended, ended, open_probe, search_specs, stepped
from leader.perfdb.entities import Job, Run
from leader.perfdb.protocol import PerfDB
from shared.clock import Clock
from shared.errors import NotFound, Unavailable
from shared.jobs.lifecycle import RunState

ATTEMPTS: Final = 20
BATCH: Final = 100

log = structlog.get_logger(__name__)


class Searcher:
    """The thin loop around ``leader.manage.probes``."""

    def __init__(self, perfdb: PerfDB, followers: Followers, clock: Clock, lineup: Lineup, ledger: Ledger) -> None:
        self._db = perfdb
        self._lineup = lineup
        self._ledger = ledger
        self._followers = followers
        self._clock = clock

    async def advance(self, job_id: str) -> bool:
        """Take the steps that follow from what is stored; whether anything was to be done.

        Raises:
            NotFound, Unavailable.
        """
        for _ in range(ATTEMPTS):
            job = await self._db.jobs.get(job_id)
            if not job.searching:
                return False
            runs = await self._db.runs.of_job(job_id)
            await self._announce(runs)
            after = await self._stepped(job, runs)
            if after is None:
                return await self._store_missing(job, runs)
            if await self._db.jobs.step(job, after):
                log.info("search.stepped", job_id=job_id, runs=after.run_count, searching=after.searching)
                await self._store_missing(after, runs)
                return True
        raise Unavailable(f"the searches of job {job_id} are changed by too many at once; try again")

    async def run_once(self) -> int:
        """One round over every job that searches; how many were carried on. Raises Unavailable."""
        carried_on, after = 0, ""
        while page := await self._db.jobs.searching(after=after, limit=BATCH):
            carried_on += sum([await self.advance(job.id) for job in page])
            after = page[-1].id
        return carried_on

    async def _announce(self, runs: Sequence[Run]) -> None:
        """A probe that another leader stored, or this one in a write whose answer was lost, waits here, too."""
        if self._lineup.join(waiting_of(run) for run in runs if run.status.state is RunState.QUEUED):
            await self._followers.ring_all()

    async def _stepped(self, job: Job, runs: Sequence[Run]) -> Job | None:
        awaited = {open_probe(job, search) for search in job.searches}
        found = {run.id: end for run in runs if run.id in awaited and (end := await self._ended(run))}
        if not found:
            return None
        specs = await asyncio.to_thread(search_specs, job)
        return stepped(job, specs, found, self._clock.utc_now())

    async def _ended(self, run: Run) -> Ended | None:
        if not run.status.state.has_record or run.no_record is not None:
            return ended(run, None)
        try:
            return ended(run, await self._db.records.get(run.id))
        except NotFound:  # the recorder has not come to it yet
            return None

    async def _store_missing(self, job: Job, runs: Sequence[Run]) -> bool:
        if len(runs) >= job.run_count:
            return False
        there = {run.id for run in runs}
        all_runs = await asyncio.to_thread(runs_of, job, self._ledger.learnt)
        await self._lineup.store([run for run in all_runs if run.id not in there])
        await self._followers.ring_all()
        return True
