"""What announcing needs of PerfDB, on every server that this runs on."""

from datetime import UTC, datetime, timedelta

from support.stored_runs import T0, claimed, job, job_id, run

from leader.perfdb.entities import AcceptedJob
from leader.perfdb.mongo import MongoPerfDB
from shared.jobs.lifecycle import Cause, requeue


async def test_accepted_jobs_are_read_on_from_an_id(db: MongoPerfDB) -> None:
    """Oldest first, whoever stored them in whatever order; marking one complete changes nothing here."""
    for number in (3, 1, 2):
        await db.jobs.add(job(number, run_count=number))
    await db.jobs.mark_complete([job_id(2)])
    accepted = [AcceptedJob(id=job_id(number), run_count=number) for number in (1, 2, 3)]
    assert await db.jobs.accepted(after=job_id(0), limit=10) == accepted
    assert await db.jobs.accepted(after=job_id(1), limit=10) == accepted[1:]
    assert await db.jobs.accepted(after=job_id(1), limit=1) == accepted[1:2]
    assert await db.jobs.accepted(after=job_id(3), limit=10) == []


async def test_of_a_job_all_runs_are_counted_and_the_queued_ones_told(db: MongoPerfDB) -> None:
    """As they are told of the whole queue, by index; a requeued one with its fence, and none of another job."""
    await db.runs.add_all([run(1, index) for index in (2, 0, 1)] + [run(2)])
    first = await claimed(db, run(1, 0))
    again = await db.runs.move(first, requeue(first.status, Cause.LEASE_EXPIRED, "silent", T0), at=T0)
    assert again is not None
    await claimed(db, run(1, 1))
    stored, waiting = await db.runs.waiting_of(job_id(1))
    assert (stored, [(one.id, one.fence) for one in waiting]) == (3, [(run(1, 0).id, 2), (run(1, 2).id, 0)])
    of_all = {one.id: one for one in await db.runs.waiting(limit=10)}
    assert waiting == [of_all[run(1, 0).id], of_all[run(1, 2).id]]
    assert await db.runs.waiting_of(job_id(9)) == (0, [])


async def test_the_servers_clock_is_aware_and_right_where_it_is_told(db: MongoPerfDB) -> None:
    """These servers share the machine's clock."""
    told = await db.ping()
    assert told is None or abs(told - datetime.now(UTC)) < timedelta(seconds=1)


async def test_leaders_marks_are_kept_by_name(db: MongoPerfDB) -> None:
    """The last count of each; removing one twice is no fault."""
    assert await db.leaders.all() == {}
    for name, beats in (("a.$x", 1), ("b", 1), ("a.$x", 2)):
        await db.leaders.put(name, beats)
    assert await db.leaders.all() == {"a.$x": 2, "b": 1}
    for _ in range(2):
        await db.leaders.remove("b")
    assert await db.leaders.all() == {"a.$x": 2}
