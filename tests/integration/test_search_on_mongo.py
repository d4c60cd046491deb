"""Searches on the embedded database: records come in through the real delivery, probes follow, and an answer."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from support.desks import Workplace, failure, spec, success, workplace

from leader.perfdb import schema
from leader.perfdb.entities import JobFilter, RecordFilter
from shared.errors import Conflict, Unavailable
from shared.jobs.lifecycle import MOST_FAILURES, MOST_LOSSES, Cause, RunState
from shared.jobs.workload import PoissonWorkload
from shared.measure.record import SloCheck, Verdict
from shared.wire.assignment import Assignment, Result
from shared.wire.views import JobView

SEARCH: dict[str, Any] = {
    "pattern": "search", "slo": {"p99_ms": 50}, "start_rate": 10, "warmup": "0s", "duration": "1s",
}  # fmt: skip


def rate_of(given: Assignment) -> float:
    """The rate that a probe offers."""
    assert isinstance(given.spec.workload, PoissonWorkload)
    return given.spec.workload.rate


def measured(given: Assignment, *, capacity_rps: float) -> Result:
    """What a follower delivers whose server meets the limit up to a capacity, and no further."""
    is_met = rate_of(given) <= capacity_rps
    check = SloCheck(limit="p99_ms", allowed=50, measured=30 if is_met else 90, met=is_met)
    return success(given, spec=given.spec.model_dump(mode="json"), slo=(check,), verdict=Verdict(kind="stable"))


async def probe(place: Workplace, capacity_rps: float, slot: str = "cpu-0") -> Assignment:
    """Claim the next probe and deliver what it measured."""
    given = await place.claimed(slot=slot)
    place.clock.advance(1)
    await place.desk.queue.deliver("f1", given.run_id, measured(given, capacity_rps=capacity_rps))
    return given


async def finish(place: Workplace, job_id: str, capacity_rps: Callable[[Assignment], float]) -> JobView:
    """Work until nothing is left, then look at the job."""
    while given := await place.claim():
        assert (await place.desk.reads.job(job_id)).state == "running"
        await place.desk.queue.deliver("f1", given.run_id, measured(given, capacity_rps=capacity_rps(given)))
    return await place.desk.reads.job(job_id)


@pytest.mark.parametrize("capacity_rps", [3.3, 10.0, 37.0, 152.0])
async def test_a_search_finds_a_sharp_limit(place: Workplace, capacity_rps: float) -> None:
    """Within its precision of the truth and in ten probes at most, each an ordinary run with a record."""
    job = await place.submit(workload=SEARCH)
    assert (job.state, job.run_count, len(job.searches)) == ("queued", 1, 1)
    done = await finish(place, job.id, lambda _: capacity_rps)
    (found,) = done.searches
    assert (done.state, found.state) == ("succeeded", "found")
    assert found.rate_rps is not None
    assert found.high_rps is not None
    assert found.rate_rps <= capacity_rps < found.high_rps
    assert found.high_rps / found.rate_rps <= 1.05
    assert len(found.probes) == done.run_count <= 10
    assert [probe.run_id for probe in found.probes] == [run.id for run in done.runs]
    assert [run.index for run in done.runs] == list(range(done.run_count))
    records = (await place.desk.reads.records(RecordFilter(job_id=job.id))).items
    assert len(records) == done.run_count
    assert len({view.record.comparability_key for view in records}) == done.run_count


async def test_the_next_probe_is_queued_before_the_result_is_answered(place: Workplace) -> None:
    """So a follower that looks at once finds it, and it is rung."""
    job = await place.submit(workload=SEARCH)
    place.bell.rung.clear()
    first = await probe(place, 100)
    assert place.bell.rung == ["f1"]
    view = await place.desk.reads.job(job.id)
    assert [(run.id, run.state) for run in view.runs] == [
        (first.run_id, RunState.SUCCEEDED), (f"{job.id}.0001", RunState.QUEUED),
    ]  # fmt: skip
    assert [(one.rate_rps, one.outcome, one.reason) for one in view.searches[0].probes] == [
        (10.0, "met", "p99_ms 30 (limit 50)"), (20.0, None, ""),
    ]  # fmt: skip
    assert rate_of(await place.claimed()) == 20.0


async def test_a_sweep_of_searches_with_repeats(place: Workplace) -> None:
    """Each point has its own truth and finds it; the indices tell point and probe apart."""
    job = await place.submit(workload=SEARCH, sweep={"service.threads": [1, 2]}, repeats=2)
    done = await finish(place, job.id, lambda given: 30.0 * given.spec.service.threads)
    assert [search.point["service.threads"] for search in done.searches] == [1, 2, 1, 2]
    assert [search.repeat for search in done.searches] == [0, 0, 1, 1]
    for search in done.searches:
        truth = 30.0 * search.point["service.threads"]
        assert search.rate_rps is not None
        assert truth / 1.05 <= search.rate_rps <= truth
    by_id = {run.id: run for run in done.runs}
    for point, search in enumerate(done.searches):
        for number, one in enumerate(search.probes):
            run = by_id[one.run_id]
            assert run.index == number * 4 + point
            assert (run.point, run.repeat) == (search.point, search.repeat)
            assert run.spec["workload"]["rate"] == one.rate_rps
    assert done.run_count == len(done.runs) == sum(len(search.probes) for search in done.searches)


@pytest.mark.parametrize("step", ["jobs.step", "runs.add_all"])
async def test_a_crash_between_record_and_next_run_is_repaired(
    place: Workplace, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """Before the decision and after it: the result was accepted, and the reconciler carries the search on, once."""
    job = await place.submit(workload=SEARCH)
    await place.desk.reconciler.run_once()
    store, name = step.split(".")

    async def crash(*_: Any) -> None:
        raise Unavailable("the leader died here")

    with monkeypatch.context() as patched:
        patched.setattr(getattr(place.db, store), name, crash)
        await probe(place, 100)
    view = await place.desk.reads.job(job.id)
    assert (view.state, len(view.runs)) == ("running", 1)
    assert await place.claim() is None
    assert await place.desk.reconciler.run_once() == 1
    assert await place.desk.reconciler.run_once() == 0
    assert rate_of(await place.claimed()) == 20.0
    assert (await place.desk.reads.job(job.id)).run_count == 2


async def test_a_record_that_comes_late_carries_the_search_on(
    place: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store failed after the result was kept: the reconciler derives first the record, then the next probe."""
    job = await place.submit(workload=SEARCH)

    async def crash(*_: Any) -> None:
        raise Unavailable("the database went away here")

    with monkeypatch.context() as patched:
        patched.setattr(place.db.records, "put", crash)
        await probe(place, 100)
    assert (await place.desk.reads.job(job.id)).run_count == 1
    assert await place.desk.reconciler.run_once() == 2
    assert (await place.desk.reads.job(job.id)).run_count == 2


async def test_a_search_does_not_wait_for_a_record_that_cannot_come(
    place: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The evidence was lost before it was derived: the probe has failed, its rate is tried again, and on it goes."""
    job = await place.submit(workload=SEARCH)

    async def crash(*_: Any) -> None:
        raise Unavailable("the database went away here")

    with monkeypatch.context() as patched:
        patched.setattr(place.db.records, "put", crash)
        given = await probe(place, 100)
    await place.db._database[schema.ATTEMPTS].delete_one({"run_id": given.run_id})
    await place.desk.reconciler.run_once()
    (search,) = (await place.desk.reads.job(job.id)).searches
    assert [(one.rate_rps, one.outcome) for one in search.probes] == [(10.0, "failed"), (10.0, None)]
    assert search.probes[0].reason == f"no record: attempt 1 of run {given.run_id} has delivered nothing"
    await probe(place, 100)
    (search,) = (await place.desk.reads.job(job.id)).searches
    assert [(one.rate_rps, one.outcome) for one in search.probes[1:]] == [(10.0, "met"), (20.0, None)]


async def test_two_leaders_take_each_step_once(mongo_url: str) -> None:
    """Both see every end and both reconcile all the time; the runs are those of one."""
    async with workplace(mongo_url) as one, workplace(mongo_url, followers=0) as other:
        job = await one.submit(workload=SEARCH, repeats=3)
        while given := await one.claim():
            await asyncio.gather(
                one.desk.queue.deliver("f1", given.run_id, measured(given, capacity_rps=37)),
                *(place.desk.reconciler.run_once() for place in (one, other) for _ in range(3)),
            )
            await asyncio.gather(*(place.desk.reconciler.run_once() for place in (one, other)))
        done = await other.desk.reads.job(job.id)
        assert done.state == "succeeded"
        assert {(search.rate_rps, len(search.probes)) for search in done.searches} == {
            (done.searches[0].rate_rps, len(done.searches[0].probes))
        }
        assert done.run_count == len(done.runs) == 3 * len(done.searches[0].probes)
        assert len({(run.repeat, run.spec["workload"]["rate"]) for run in done.runs}) == done.run_count


async def test_cancel_ends_the_search_in_the_middle(place: Workplace) -> None:
    """No probe follows, not even by the reconciler or by a result that comes late."""
    job = await place.submit(workload=SEARCH)
    await probe(place, 100)
    given = await place.claimed()
    cancelled = await place.desk.submissions.cancel_job(job.id)
    assert (cancelled.state, cancelled.searches[0].state) == ("cancelled", "cancelled")
    late = await place.desk.queue.deliver("f1", given.run_id, measured(given, capacity_rps=100))
    assert not late.accepted
    await place.desk.reconciler.run_once()
    view = await place.desk.reads.job(job.id)
    assert (view.state, view.run_count, await place.claim()) == ("cancelled", 2, None)


async def test_a_cancel_between_decision_and_run_leaves_nothing_behind(
    place: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The probe that another leader had decided on is stored by the cancel, as cancelled, and never runs."""
    job = await place.submit(workload=SEARCH)

    async def crash(*_: Any) -> None:
        raise Unavailable("the other leader died here")

    with monkeypatch.context() as patched:
        patched.setattr(place.db.runs, "add_all", crash)
        await probe(place, 100)
    view = await place.desk.submissions.cancel_job(job.id)
    assert [run.state for run in view.runs] == [RunState.SUCCEEDED, RunState.CANCELLED]
    assert (view.state, view.searches[0].state) == ("cancelled", "cancelled")
    await place.desk.reconciler.run_once()
    assert await place.claim() is None


async def test_cancelling_a_probe_ends_its_search_only(place: Workplace) -> None:
    """The other repeats go on; a job with a cancelled search is a cancelled one."""
    job = await place.submit(workload=SEARCH, repeats=2)
    await place.desk.submissions.cancel_run(f"{job.id}.0000")
    with pytest.raises(Conflict):
        await place.desk.submissions.cancel_run(f"{job.id}.0000")
    done = await finish(place, job.id, lambda _: 37.0)
    assert [search.state for search in done.searches] == ["cancelled", "found"]
    assert done.state == "cancelled"


async def test_a_probe_that_infrastructure_failed_is_run_again(place: Workplace) -> None:
    """The search hears of it only when the run has ended for good; then it tries the rate once more, and ends."""
    job = await place.submit(workload=SEARCH)
    for _ in range(MOST_FAILURES[Cause.FOLLOWER_ERROR] - 1):
        given = await place.claimed()
        await place.desk.queue.deliver("f1", given.run_id, failure(given, Cause.FOLLOWER_ERROR))
        place.clock.advance(60)
        assert (await place.desk.reads.job(job.id)).run_count == 1
    given = await place.claimed()
    await place.desk.queue.deliver("f1", given.run_id, failure(given, Cause.FOLLOWER_ERROR))
    again = await place.claimed()
    assert (again.run_id, rate_of(again)) == (f"{job.id}.0001", 10.0)
    await place.desk.queue.deliver("f1", again.run_id, failure(again, Cause.SERVER_DIED))
    done = await place.desk.reads.job(job.id)
    (search,) = done.searches
    assert (done.state, search.state, [one.outcome for one in search.probes]) == (
        "failed", "not-found", ["failed", "failed"],
    )  # fmt: skip
    assert [one.reason for one in search.probes] == ["follower-error: it broke", "server-died: it broke"]
    assert "failed twice" in search.reason


async def test_a_probe_that_loses_its_followers_is_seen_by_the_reconciler(place: Workplace) -> None:
    """The reaper ends it; nobody delivered anything."""
    job = await place.submit(workload=SEARCH)
    for _ in range(MOST_LOSSES):
        await place.claimed()
        place.clock.advance(100)
        await place.desk.reaper.run_once()
        place.clock.advance(60)
    await place.desk.reconciler.run_once()
    view = await place.desk.reads.job(job.id)
    assert [(run.state, run.spec["workload"]["rate"]) for run in view.runs] == [
        (RunState.QUARANTINED, 10.0), (RunState.QUEUED, 10.0),
    ]  # fmt: skip


async def test_a_record_without_a_rate_is_a_failed_probe(place: Workplace) -> None:
    """Whatever a follower delivers, the search goes on and the leader with it."""
    job = await place.submit(workload=SEARCH)
    given = await place.claimed()
    result = success(given)
    load = result.outcome.record.load.model_copy(update={"offered_rps": None})  # type: ignore[union-attr]
    await place.desk.queue.deliver("f1", given.run_id, success(given, load=load))
    (search,) = (await place.desk.reads.job(job.id)).searches
    assert [(one.rate_rps, one.outcome) for one in search.probes] == [(10.0, "failed"), (10.0, None)]


async def test_a_repeated_submit_shows_the_search_as_it_stands(place: Workplace) -> None:
    """The same key and body give the same job, however far it is."""
    await place.submit(key="k", workload=SEARCH)
    await probe(place, 100)
    again = await place.submit(key="k", workload=SEARCH)
    assert (again.run_count, again.searches[0].probes[0].outcome) == (2, "met")


async def test_jobs_that_search_are_listed_as_running_between_probes(
    place: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lists know it too, although they do not look at runs one by one."""
    job = await place.submit(workload=SEARCH)

    async def crash(*_: Any) -> None:
        raise Unavailable("the leader died here")

    with monkeypatch.context() as patched:
        patched.setattr(place.db.jobs, "step", crash)
        await probe(place, 100)
    running = await place.desk.reads.jobs(JobFilter(), state="running")
    assert [view.id for view in running.items] == [job.id]
    assert (await place.desk.reads.jobs(JobFilter(), state="succeeded")).items == ()


async def test_a_plan_of_a_search_is_an_upper_bound(place: Workplace) -> None:
    """As many probes as it may take, each as long as the first."""
    one = await place.desk.planner.plan(spec())
    plan = await place.desk.planner.plan(spec(workload={**SEARCH, "probes": 7}, repeats=2))
    assert (plan.is_upper_bound, one.is_upper_bound) == (True, False)
    assert [run.most_runs for run in plan.runs] == [7, 7]
    assert plan.predicted_s == pytest.approx(14 * one.predicted_s)
