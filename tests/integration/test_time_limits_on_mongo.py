"""Deadlines and wall-clock caps on the embedded database: the leader ends a run, whatever its follower says."""

import math

import pytest
from support.desks import Workplace, success, workplace

from shared.errors import Conflict, StaleFence
from shared.jobs.lifecycle import Cause, RunState
from shared.wire.assignment import Assignment


async def renewed_until(place: Workplace, given: Assignment, seconds: float) -> None:
    """The follower keeps its lease, as one whose attempt hangs does."""
    steps = math.ceil(seconds / 10)
    for _ in range(steps):
        place.clock.advance(seconds / steps)
        await place.renew(given, started=True)
        await place.desk.reaper.run_once()


async def test_a_queued_run_ends_with_its_deadline(place: Workplace) -> None:
    """Nobody can claim it afterwards, and its neighbour without a deadline stays."""
    due = await place.submit(deadline="30s")
    free = await place.submit()
    place.clock.advance(29)
    assert await place.desk.reaper.run_once() == 0
    place.clock.advance(1)
    assert await place.desk.reaper.run_once() == 1
    view = await place.desk.reads.run(due.runs[0].id)
    assert (view.state, view.cause) == (RunState.TIMED_OUT, Cause.DEADLINE_PASSED)
    assert "passed while it was queued" in (view.detail or "")
    assert (await place.desk.reads.job(due.id)).state == "failed"
    assert await place.kinds(due.runs[0].id) == [("0.0", "queued"), ("1.1000000", "timed-out")]
    assert (await place.claimed()).job_id == free.id
    with pytest.raises(Conflict, match="timed-out already"):
        await place.desk.submissions.cancel_run(due.runs[0].id)


async def test_a_running_run_ends_with_its_deadline(place: Workplace) -> None:
    """Its follower is rung, learns it by the stale fence, and what it still delivers is kept as superseded."""
    await place.submit(deadline="60s")
    given = await place.claimed()
    await renewed_until(place, given, 50)
    place.bell.rung.clear()
    place.clock.advance(10)
    assert await place.desk.reaper.run_once() == 1
    assert place.bell.rung == ["f1"]
    with pytest.raises(StaleFence):
        await place.renew(given)
    answer = await place.desk.queue.deliver("f1", given.run_id, success(given))
    assert (answer.accepted, answer.state) == (False, "timed-out")
    assert await place.desk.reaper.run_once() == 0
    assert (await place.desk.reads.run(given.run_id)).links.get("record") is None


async def test_an_attempt_that_hangs_is_ended_by_the_leader(place: Workplace) -> None:
    """Its follower renews for ever and never reports: a minute behind the cap the run is timed out."""
    await place.submit(service={"ready_timeout": "10s"})
    given = await place.claimed()
    workload = given.spec.workload
    cap_s = 10 + (workload.load_ns + 2 * workload.request_timeout) / 1e9 + 20 + 60
    await renewed_until(place, given, cap_s + 50)
    assert await place.state(given.run_id) is RunState.RUNNING
    place.clock.advance(11)
    assert await place.desk.reaper.run_once() == 1
    view = await place.desk.reads.run(given.run_id)
    assert (view.state, view.cause) == (RunState.TIMED_OUT, Cause.TIMED_OUT)
    assert f"did not end within {cap_s:.0f} s" in (view.detail or "")


async def test_a_result_in_time_beats_the_deadline(place: Workplace) -> None:
    """The reaper comes later and finds the run ended."""
    await place.submit(deadline="60s")
    given = await place.claimed()
    await place.desk.queue.deliver("f1", given.run_id, success(given))
    place.clock.advance(100)
    assert await place.desk.reaper.run_once() == 0
    assert await place.state(given.run_id) is RunState.SUCCEEDED


async def test_another_leader_ends_what_this_one_accepted(mongo_url: str) -> None:
    """It looks at the queue without being asked by any follower."""
    async with workplace(mongo_url) as one, workplace(mongo_url, followers=0) as other:
        job = await one.submit(deadline="30s")
        other.clock.advance(31)
        await other.desk.reconciler.run_once()
        assert await other.desk.reaper.run_once() == 1
        one.clock.advance(31)
        assert await one.desk.reaper.run_once() == 0
        assert len(one.desk.lineup.backlog) == 0
        assert await one.state(job.runs[0].id) is RunState.TIMED_OUT


async def test_a_search_whose_deadline_passes_ends_without_an_answer(place: Workplace) -> None:
    """The probe that waited is timed out, and so is the one that would repeat it."""
    search = {"pattern": "search", "slo": {"p99_ms": 50}, "start_rate": 10, "warmup": "0s", "duration": "1s"}
    job = await place.submit(workload=search, deadline="30s")
    place.clock.advance(31)
    for _ in range(3):
        await place.desk.reaper.run_once()
        await place.desk.reconciler.run_once()
    view = await place.desk.reads.job(job.id)
    assert (view.state, [run.state for run in view.runs]) == ("failed", [RunState.TIMED_OUT, RunState.TIMED_OUT])
    assert view.searches[0].state == "not-found"
