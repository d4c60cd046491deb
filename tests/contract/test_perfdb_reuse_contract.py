"""What reuse needs of PerfDB, on every server that this runs on."""

from datetime import timedelta

from support.stored_records import START, stored
from support.stored_runs import T0, job, run

from leader.perfdb.entities import Origin, ReuseKey
from leader.perfdb.mongo import MongoPerfDB
from shared.jobs.lifecycle import RunState, RunStatus
from shared.jobs.spec import MAX_SEED

ORIGIN = Origin(run_id="j-00000000000000000000000009.0003", follower="f.$1", measured_at=T0 - timedelta(days=3))


async def test_what_a_job_and_a_run_reuse_is_kept(db: MongoPerfDB) -> None:
    """To the microsecond; and those that reuse nothing say so."""
    sharing = job(1, reused={0: ORIGIN, 7: ORIGIN})
    await db.jobs.add(sharing)
    await db.jobs.add(job(2))
    assert (await db.jobs.get(sharing.id)).reused == {0: ORIGIN, 7: ORIGIN}
    assert (await db.jobs.get(job(2).id)).reused == {}
    reused = run(1, status=RunStatus(state=RunState.SUCCEEDED), recorded=True, reused_from=ORIGIN)
    await db.runs.add_all([reused, run(2)])
    assert await db.runs.get(reused.id) == reused
    assert (await db.runs.get(run(2).id)).reused_from is None


async def test_a_reused_run_neither_waits_nor_lacks_a_record(db: MongoPerfDB) -> None:
    """It is no work for anybody."""
    await db.runs.add_all([run(1, status=RunStatus(state=RunState.SUCCEEDED), recorded=True, reused_from=ORIGIN)])
    assert (await db.runs.waiting(limit=9), await db.runs.unrecorded(limit=9)) == ([], [])


async def test_valid_records_are_found_by_their_points_newest_first(db: MongoPerfDB) -> None:
    """Of each point as many as asked for; none that is invalid, of another point, or of a version without keys."""
    for number, (point, seed, verdict) in enumerate(
        [("a", 1, "stable"), ("a", 2, "drifting"), ("a", MAX_SEED, "invalid"), ("b", 1, "stable"), ("c", 1, "stable")]
    ):
        at = START + timedelta(hours=number)
        one = stored(f"j-{number:026d}.0000", reuse_key=ReuseKey(point, seed), verdict=verdict, created_at=at)
        await db.records.put(one)
    await db.records.put(stored("j-00000000000000000000000008.0000"))
    found = await db.records.of_points(["a", "b", "nothing"], limit=9)
    assert [(entry.run_id[-6], entry.reuse_key) for entry in found] == [
        ("3", ReuseKey("b", 1)),
        ("1", ReuseKey("a", 2)),
        ("0", ReuseKey("a", 1)),
    ]
    assert found[0].origin == Origin(run_id=found[0].run_id, follower="f1", measured_at=START + timedelta(hours=3))
    assert [entry.run_id[-6] for entry in await db.records.of_points(["a", "b"], limit=1)] == ["3", "1"]
    assert await db.records.of_points([], limit=9) == []


async def test_many_points_are_looked_up_in_turns(db: MongoPerfDB) -> None:
    """More than are asked about at once, each with its own answer."""
    for number in range(40):
        await db.records.put(stored(f"j-{number:026d}.0000", reuse_key=ReuseKey(f"p{number}", 0)))
    found = await db.records.of_points([f"p{number}" for number in range(50)], limit=2)
    assert {entry.reuse_key for entry in found} == {ReuseKey(f"p{number}", 0) for number in range(40)}
    assert len(found) == 40
