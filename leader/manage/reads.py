"""What people read: jobs, runs, records, the leaderboard, stored files."""

import asyncio
from typing import Final, Literal

from leader.analyze.leaderboard import metric_named, view_of
from leader.manage.views import full_job_view, job_view, origin_view, run_view
from leader.perfdb.entities import Job, JobFilter, RecordFilter, Task
from leader.perfdb.protocol import PerfDB
from model_repo.protocol import Blob, BlobStore
from shared.errors import InvalidInput, NotFound
from shared.jobs import ids
from shared.wire.views import JobView, LeaderboardView, Page, RecordView, RunView

MAX_GROUPS: Final = 20
"""Most groups of a leaderboard, the most recently measured ones; name a key for an older one."""

MAX_ROWS: Final = 500
"""Most rows of a leaderboard over all its groups: with fewer groups each may have more, up to the limit asked for."""

MAX_PAGES_SCANNED: Final = 4
"""How many pages of jobs one call reads through in search of those in a state."""


class Reads:
    """Queries without side effects."""

    def __init__(self, perfdb: PerfDB, blobs: BlobStore) -> None:
        self._db = perfdb
        self._blobs = blobs

    async def job(self, job_id: str) -> JobView:
        """With its runs. Raises NotFound."""
        job = await self._db.jobs.get(job_id)
        return full_job_view(job, await self._db.runs.of_job(job_id))

    async def jobs(
        self, wanted: JobFilter, *, state: str | None = None, limit: int = 50, cursor: str | None = None
    ) -> Page[JobView]:
        """Newest first, without runs. With ``state`` a page may be short although more follow: go by the cursor.

        Raises:
            InvalidInput: not one of our cursors.
        """
        before, found = _job_cursor(cursor), list[JobView]()
        for _ in range(MAX_PAGES_SCANNED if state else 1):
            jobs = await self._db.jobs.page(wanted, before=before, limit=limit + 1)
            found += [view for view in await self._counted(jobs[:limit]) if state in (None, view.state)]
            if len(jobs) <= limit:
                return _page(found, limit, None)
            before = jobs[limit - 1].id
            if len(found) >= limit:
                break
        return _page(found, limit, before)

    async def _counted(self, jobs: list[Job]) -> list[JobView]:
        counts = await self._db.runs.state_counts([job.id for job in jobs])
        return [job_view(job, counts[job.id]) for job in jobs]

    async def run(self, run_id: str) -> RunView:
        """Raises NotFound."""
        return run_view(await self._db.runs.get(run_id))

    async def record(self, run_id: str) -> RecordView:
        """Of a run that was not run, the record that it reuses. Raises NotFound: no such run, or no record (yet)."""
        run = await self._db.runs.get(run_id)
        if run.no_record is not None:
            raise NotFound(f"run {run_id} has no record: {run.no_record}")
        origin = run.reused_from
        record = await self._db.records.get(origin.run_id if origin else run_id)
        return RecordView(run_id=run_id, record=record, reused_from=origin_view(origin))

    async def records(self, wanted: RecordFilter, *, limit: int = 50, cursor: str | None = None) -> Page[RecordView]:
        """Newest first. Raises InvalidInput: not one of our cursors."""
        if cursor is not None and not ids.is_run_id(cursor):
            raise InvalidInput("the cursor is not one that this service gave; start without one")
        found = await self._db.records.page(wanted, before=cursor, limit=limit + 1)
        views = tuple(RecordView(run_id=record.run_id, record=record) for record in found[:limit])
        return Page(items=views, next_cursor=views[-1].run_id if len(found) > limit else None)

    async def artifact(self, run_id: str, kind: Literal["samples", "log"], *, attempt: int | None = None) -> Blob:
        """A file of the run: of ``attempt``, or else of the last one that left it, whatever became of the attempt.

        Samples of a run that was measured are those of its accepted attempt, and no others.

        Raises:
            NotFound: there is no such run, attempt or file.
        """
        run = await self._db.runs.get(run_id)
        if run.reused_from is not None:
            raise NotFound(
                f"run {run_id} was not run, so it has no {kind}; run {run.reused_from.run_id} has, which it reuses"
            )
        last, first = run.status.attempt, 1
        if attempt is not None:
            last = first = attempt
        elif kind == "samples" and run.status.state.has_record:
            first = last
        for number in range(last, first - 1, -1):
            files = {file.kind: file for file in await self._db.evidence.artifacts(run_id, number)}
            if kind in files:
                return await self._blobs.open(files[kind].sha256, kinds=["artifact"])
        raise NotFound(f"run {run_id} has no {kind} yet" if attempt is None else f"attempt {attempt} left no {kind}")

    async def blob_for_follower(self, sha256: str) -> Blob:
        """A model's or dataset's bytes; never another follower's artifacts. Raises NotFound."""
        return await self._blobs.open(sha256, kinds=("model", "dataset"))

    async def leaderboard(
        self, metric: str, wanted: RecordFilter, *, key: str | None = None, limit: int = 50
    ) -> LeaderboardView:
        """Ranking by one registered metric, one group per comparability key, at most ``limit`` rows in each.

        A group's ``record_count`` counts all that is ranked under its key, whatever the filter.

        Raises:
            InvalidInput: no such metric; the message names the nearest.
        """
        known = metric_named(metric)
        tasks = await self._tasks(wanted, key)
        rows = min(limit, MAX_ROWS // max(1, len(tasks)))
        best = [self._db.records.best(task.comparability_key, metric, wanted, limit=rows) for task in tasks]
        return view_of(known, list(zip(tasks, await asyncio.gather(*best), strict=True)))

    async def _tasks(self, wanted: RecordFilter, key: str | None) -> list[Task]:
        if key is None:
            return await self._db.records.tasks(wanted, limit=MAX_GROUPS)
        task = await self._db.records.task(key)
        return [task] if task else []


def _page(found: list[JobView], limit: int, scanned_to: str | None) -> Page[JobView]:
    """The first ``limit`` of what was found; the next page starts behind them, or behind what was looked at."""
    if len(found) > limit:
        return Page(items=tuple(found[:limit]), next_cursor=found[limit - 1].id)
    return Page(items=tuple(found), next_cursor=scanned_to)


def _job_cursor(cursor: str | None) -> str | None:
    if cursor is not None and not ids.is_job_id(cursor):
        raise InvalidInput("the cursor is not one that this service gave; start without one")
    return cursor
