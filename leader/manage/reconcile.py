"""Repairs what a crash left half done: runs that a job lacks, what follows from a run's end, probes of a search."""

import asyncio
from collections.abc import Sequence
from typing import Final

import structlog

from leader.manage.blueprint import runs_of
from leader.manage.ledger import Ledger
from leader.manage.lineup import Lineup
from leader.manage.recorder import Recorder
from leader.manage.searcher import Searcher
from leader.perfdb.entities import Job, Run
from leader.perfdb.protocol import PerfDB
from shared.errors import InvalidInput, NotFound

BATCH: Final = 100

log = structlog.get_logger(__name__)


class Reconciler:
    """Every step may be repeated, by any leader, at any time."""

    def __init__(self, perfdb: PerfDB, recorder: Recorder, searcher: Searcher, lineup: Lineup, ledger: Ledger) -> None:
        self._db = perfdb
        self._recorder = recorder
        self._searcher = searcher
        self._lineup = lineup
        self._ledger = ledger
        self._completed: set[str] = set()  # by us, not yet marked; losing it costs a repair that changes nothing

    async def complete(self, job: Job, runs: Sequence[Run] | None = None) -> None:
        """Store the runs of a job that are not stored yet. The mark follows later, for many jobs in one write."""
        if runs is not None:
            await self._lineup.store(runs)
        else:  # some of them may be there, and have moved on
            await self._db.runs.add_all(await asyncio.to_thread(runs_of, job, self._ledger.learnt))
            await self._lineup.look_now()
        self._completed.add(job.id)

    async def run_once(self) -> int:
        """One round over everything half done; returns how much was repaired. Raises Unavailable."""
        await self._lineup.look()  # also where nobody claims: the reaper goes by it
        await self._mark_completed()
        jobs = [job for job in await self._db.jobs.incomplete(limit=BATCH) if job.id not in self._completed]
        for job in jobs:
            await self.complete(job)
            log.info("job.completed_after_crash", job_id=job.id)
        await self._mark_completed()
        recorded = await self._settle(await self._db.runs.unrecorded(limit=BATCH))
        return len(jobs) + recorded + await self._searcher.run_once()

    async def _settle(self, ended: Sequence[Run]) -> int:
        """Records of those measured, usage of all; how many records were missing."""
        measured = [run for run in ended if run.status.state.has_record]
        others = [run for run in ended if not run.status.state.has_record]
        for run in measured:
            await self._record(run)
        for run in others:
            await self._ledger.note(run)
        if others:
            await self._db.runs.mark_recorded([run.id for run in others])
        return len(measured)

    async def _mark_completed(self) -> None:
        done = frozenset(self._completed)
        if done:
            await self._db.jobs.mark_complete(done)
            self._completed -= done

    async def _record(self, run: Run) -> None:
        """Evidence is stored before a run ends, so what is missing or wrong now stays so."""
        try:
            await self._recorder.record(run)
        except (NotFound, InvalidInput) as error:
            log.warning("record.not_derivable", run_id=run.id, reason=error.detail)
            await self._recorder.do_without(run, error.detail)
