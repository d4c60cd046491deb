"""What the store of jobs owes to searches, on every server that we claim to run on."""

import asyncio
from dataclasses import replace

import pytest
from support.stored_runs import T0, job, job_id, run

from leader.perfdb import documents, schema
from leader.perfdb.entities import Job, Search, SearchProbe
from leader.perfdb.mongo import MongoPerfDB
from shared.jobs.lifecycle import RunState
from shared.wire.assignment import BlobPin
from shared.workload.search import Finished, Probe

FIRST = SearchProbe(rate_rps=10.0, decided_at=T0)
MET = replace(FIRST, ended=RunState.SUCCEEDED, judged=Probe(10.0, "met", "p99_ms 31 (limit 50)", 12.5))
NEXT = SearchProbe(rate_rps=1 / 3, decided_at=T0)


def searching(number: int = 1) -> Job:
    """A job with two searches that have just begun."""
    begun = tuple(Search(point=point, probes=(FIRST,)) for point in range(2))
    return job(number, searches=begun, searching=True, run_count=2)


def one_step(before: Job) -> Job:
    """The first of them goes on."""
    first, second = before.searches
    return replace(before, searches=(replace(first, probes=(MET, NEXT)), second), run_count=3)


async def test_a_search_comes_back_as_it_was(db: MongoPerfDB) -> None:
    """Every probe with its time and outcome, and the end with its bracket, open on one side."""
    end = Finished(10.0, 10.0, None, "the limits are met up to 10 requests/s")
    cancelled = replace(FIRST, ended=RunState.CANCELLED)
    searches = (Search(point=0, probes=(MET,), end=end), Search(point=1, probes=(MET, cancelled)))
    stored = job(searches=searches, searching=True)
    await db.jobs.add(stored)
    assert await db.jobs.get(stored.id) == stored


async def test_a_step_is_taken_once(db: MongoPerfDB) -> None:
    """Of many leaders that decide the same, one writes; nobody overwrites a later step with an earlier one."""
    before = searching()
    await db.jobs.add(before)
    after = one_step(before)
    assert sorted(await asyncio.gather(*(db.jobs.step(before, after) for _ in range(8)))) == [False] * 7 + [True]
    found = await db.jobs.get(before.id)
    assert found == replace(after, steps=1)
    assert not await db.jobs.step(before, before)
    assert await db.jobs.step(found, replace(found, searching=False))
    assert await db.jobs.get(before.id) == replace(after, steps=2, searching=False)


async def test_no_step_follows_the_end_of_the_searches(db: MongoPerfDB) -> None:
    """A cancel stands, and what was decided before it is to be completed."""
    before = searching()
    await db.jobs.add(before)
    await db.jobs.mark_complete([before.id])
    await db.jobs.end_searches(before.id)
    assert not await db.jobs.step(before, one_step(before))
    assert await db.jobs.get(before.id) == replace(before, searching=False, complete=False)
    assert [one.id for one in await db.jobs.incomplete(limit=9)] == [before.id]


async def test_ending_what_does_not_search_changes_nothing(db: MongoPerfDB) -> None:
    """Every cancel may ask for it."""
    await db.jobs.add(job())
    await db.jobs.mark_complete([job_id(1)])
    await db.jobs.end_searches(job_id(1))
    await db.jobs.end_searches("j-none")
    assert (await db.jobs.get(job_id(1))).complete


async def test_jobs_that_search_are_found_in_pages(db: MongoPerfDB) -> None:
    """Oldest first, and no others."""
    for number in (3, 1, 2):
        await db.jobs.add(searching(number))
    await db.jobs.add(job(4))
    first = await db.jobs.searching(after="", limit=2)
    rest = await db.jobs.searching(after=first[-1].id, limit=2)
    assert [one.id for one in first + rest] == [job_id(1), job_id(2), job_id(3)]
    await db.jobs.end_searches(job_id(2))
    assert [one.id for one in await db.jobs.searching(after="", limit=9)] == [job_id(1), job_id(3)]


async def test_a_runs_trace_is_kept_beside_its_dataset(db: MongoPerfDB) -> None:
    """Each pinned by its own digest."""
    pinned = run(dataset=BlobPin(name="d", version=1, sha256="d", size_bytes=1),
                 trace=BlobPin(name="t", version=2, sha256="t", size_bytes=2))  # fmt: skip
    await db.runs.add_all([pinned])
    assert await db.runs.get(pinned.id) == pinned


@pytest.mark.parametrize("gone", [("searches", "searching", "steps")])
async def test_jobs_and_runs_from_before_searches_and_traces_are_read(db: MongoPerfDB, gone: tuple[str, ...]) -> None:
    """What an older leader stored lacks the new fields; it did not search and replayed nothing."""
    old_job = documents.job_to_document(job())
    old_run = documents.run_to_document(run())
    for name in gone:
        del old_job[name]
    del old_run["trace"]
    await db._database[schema.JOBS].insert_one(old_job)
    await db._database[schema.RUNS].insert_one(old_run)
    assert await db.jobs.get(job_id(1)) == job()
    assert await db.runs.get(run().id) == run()
    assert await db.jobs.searching(after="", limit=9) == []
    await db.jobs.end_searches(job_id(1))
    assert [one.id for one in await db.jobs.incomplete(limit=9)] == [job_id(1)]
