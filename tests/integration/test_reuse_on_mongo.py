"""Reuse through the whole leader, on every database that this runs on: decided once, shown always, charged never."""

from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from typing import Any

import pytest
from support.desks import Workplace, registration, spec, success, workplace
from support.mongo_servers import MongoServer, running_mongo, server_names

from leader.perfdb.entities import JobFilter, RecordFilter
from shared.errors import NotFound, Unavailable
from shared.jobs.lifecycle import RunState
from shared.measure.record import Verdict
from shared.wire.views import JobView


@pytest.fixture(scope="module", params=server_names())
def server(request: pytest.FixtureRequest) -> Iterator[MongoServer]:
    """The server under test."""
    with running_mongo(request.param) as running:
        yield running


@pytest.fixture
async def place(server: MongoServer) -> AsyncIterator[Workplace]:
    """The manage layer on an empty database, with one follower, f1, that has one slot."""
    async with workplace(server.fresh_url()) as opened:
        yield opened


async def run_all(place: Workplace, **changes: Any) -> list[str]:
    """Everything that waits is run and delivers a record; the runs in their order."""
    done = []
    while (given := await place.claim()) is not None:
        finished = place.clock.utc_now() + timedelta(seconds=1)
        result = success(given, finished_at=finished, spec=given.spec.model_dump(mode="json"), **changes)
        await place.desk.queue.deliver("f1", given.run_id, result)
        place.clock.advance(1)
        done.append(given.run_id)
    return done


def origins(job: JobView) -> list[str | None]:
    """Whose record each run has."""
    return [run.reused_from.run_id if run.reused_from else None for run in job.runs]


async def test_an_equal_run_is_not_run_again(place: Workplace) -> None:
    """It has ended when the submit is answered; nobody is rung, nothing waits, and the job has succeeded."""
    first = await place.submit()
    (origin,) = await run_all(place)
    place.bell.rung.clear()
    again = await place.submit(reuse="if-equal")
    assert (again.state, origins(again)) == ("succeeded", [origin])
    assert place.bell.rung == []
    assert await place.claim() is None
    read = await place.desk.reads.job(again.id)
    assert read == again
    assert read.runs[0].reused_from is not None
    assert read.runs[0].reused_from.follower == "f1"
    assert read.runs[0].reused_from.measured_at == (await place.desk.reads.record(origin)).record.finished_at
    assert await place.kinds(read.runs[0].id) == [("0.1000000", "reused")]
    assert first.id != again.id
    assert f"reused from run {origin}" in (await place.desk.explainer.explain(read.runs[0].id)).words


async def test_a_reused_number_is_read_with_its_origin_and_counted_once(place: Workplace) -> None:
    """The record is the origin's; records, leaderboard and ledger know of one measurement."""
    job = await place.submit()
    (origin,) = await run_all(place)
    (reused,) = (await place.submit(reuse="if-equal", team="other")).runs
    shown = await place.desk.reads.record(reused.id)
    assert (shown.run_id, shown.record.run_id) == (reused.id, origin)
    assert shown.reused_from == reused.reused_from
    assert [view.run_id for view in (await place.desk.reads.records(RecordFilter())).items] == [origin]
    (group,) = (await place.desk.reads.leaderboard("p99_ms", RecordFilter())).groups
    assert (group.record_count, [row.run_id for row in group.rows]) == (1, [origin])
    assert await place.desk.reconciler.run_once() == 0
    await place.desk.ledger.refresh()
    assert set(place.desk.ledger.use(3600.0)) == {job.team}
    for kind in ("samples", "log"):
        with pytest.raises(NotFound, match=f"was not run, so it has no {kind}; run {origin} has"):
            await place.desk.reads.artifact(reused.id, kind)


async def test_what_was_reused_is_no_origin_itself(place: Workplace) -> None:
    """A third submit names the run that measured."""
    await place.submit()
    (origin,) = await run_all(place)
    await place.submit(reuse="if-equal")
    assert origins(await place.submit(reuse="if-equal")) == [origin]


async def test_another_seed_is_measured_unless_it_extends(place: Workplace) -> None:
    """Two repeats exist; of four that are wanted, if-equal and extend measure the two that are missing."""
    await place.submit(repeats=2)
    one, two = await run_all(place)
    assert origins(await place.submit(repeats=4, reuse="if-equal")) == [one, two, None, None]
    assert len(await run_all(place)) == 2
    other = {"pattern": "poisson", "rate": 50, "warmup": "0s", "duration": "1s", "seed": 100}
    assert origins(await place.submit(workload=other, reuse="if-equal")) == [None]
    (third,) = await run_all(place)
    extended = await place.submit(workload={**other, "seed": 200}, repeats=7, reuse="extend")
    assert sorted(filter(None, origins(extended)))[:2] == [one, two]
    assert origins(extended).count(None) == 2
    assert third in origins(extended)
    assert extended.run_states == {RunState.SUCCEEDED: 5, RunState.QUEUED: 2}


async def test_an_invalid_record_stands_in_for_nothing(place: Workplace) -> None:
    """It proves nothing, so it is measured again; and then that one is reused."""
    await place.submit()
    await run_all(place, verdict=Verdict(kind="invalid", reasons=("host was busy",)))
    assert origins(await place.submit(reuse="if-equal")) == [None]
    (good,) = await run_all(place)
    assert origins(await place.submit(reuse="if-equal")) == [good]


async def test_nothing_is_reused_of_a_follower_that_has_changed_or_gone(place: Workplace) -> None:
    """A new kernel, a new platform, a cordon, silence: nobody could measure the same again."""
    await place.submit()
    (origin,) = await run_all(place)
    as_it_was = registration("f1", "i-1")
    offer = as_it_was.capabilities.platforms[0].model_copy(update={"version": "2"})
    newer = as_it_was.inventory.model_copy(update={"kernel": "7"})
    for number, changed in enumerate(
        (registration("f1", platforms=(offer,)), as_it_was.model_copy(update={"inventory": newer}))
    ):
        place.clock.advance(100)
        await place.desk.followers.register(changed.model_copy(update={"incarnation": f"i-{number + 2}"}))
        assert origins(await place.submit(reuse="if-equal")) == [None]
    place.clock.advance(100)
    await place.desk.followers.register(as_it_was.model_copy(update={"incarnation": "i-9"}))
    assert origins(await place.submit(reuse="if-equal")) == [origin]
    await place.desk.followers.cordon("f1", cordoned=True)
    place.clock.advance(2)
    assert origins(await place.submit(reuse="if-equal")) == [None]
    await place.desk.followers.cordon("f1", cordoned=False)
    place.clock.advance(3600)
    assert origins(await place.submit(reuse="if-equal")) == [None]


async def test_a_crash_between_job_and_runs_keeps_what_was_decided(
    place: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the origin's follower is gone when the job is completed: the decision is stored with the job."""
    await place.submit(repeats=2)
    one, two = await run_all(place)

    async def crash(*_: Any) -> None:
        raise Unavailable("the leader died here")

    with monkeypatch.context() as patched:
        patched.setattr(place.db.runs, "add_all", crash)
        with pytest.raises(Unavailable):
            await place.submit(key="k", repeats=3, reuse="if-equal")
    await place.desk.followers.cordon("f1", cordoned=True)
    stored = (await place.db.jobs.page(JobFilter(), before=None, limit=1))[0]
    assert {index: origin.run_id for index, origin in stored.reused.items()} == {0: one, 1: two}
    assert await place.desk.reconciler.run_once() == 1
    repaired = await place.submit(key="k", repeats=3, reuse="if-equal")
    assert (repaired.id, origins(repaired)) == (stored.id, [one, two, None])
    assert repaired.run_states == {RunState.SUCCEEDED: 2, RunState.QUEUED: 1}


async def test_a_team_with_a_full_queue_may_still_reuse(place: Workplace) -> None:
    """What is not run takes no room."""
    await place.submit()
    await run_all(place)
    settings = (await place.desk.scheduling.show()).settings
    full = {"small": {"queued": 0}, "default": {"queued": 0}}
    await place.desk.scheduling.put(settings.model_validate({"quotas": full}))
    assert (await place.submit(reuse="if-equal")).state == "succeeded"


async def test_a_plan_names_equal_runs_and_what_reuse_would_do(place: Workplace) -> None:
    """Six of the first repeat, one of the second; nothing is stored by looking."""
    for _ in range(6):
        await place.submit()
    same = sorted(await run_all(place), reverse=True)
    await place.submit(repeats=2)
    newest, second = await run_all(place)
    plan = await place.desk.planner.plan(spec(repeats=3))
    assert [run.equal_count for run in plan.runs] == [7, 1, 0]
    assert plan.runs[0].equal_runs[0] == newest
    assert (len(plan.runs[0].equal_runs), plan.runs[1].equal_runs) == (5, (second,))
    assert set(plan.runs[0].equal_runs[1:]) <= set(same)
    assert (plan.reuse, [run.reused_from for run in plan.runs]) == ("never", [None] * 3)
    reusing = await place.desk.planner.plan(spec(repeats=3, reuse="if-equal"))
    assert [run.reused_from and run.reused_from.run_id for run in reusing.runs] == [newest, second, None]
    assert reusing.predicted_s == pytest.approx(reusing.runs[2].predicted_s)
    assert len(await place.db.jobs.page(JobFilter(), before=None, limit=99)) == 7


async def test_a_plan_foresees_the_wait(place: Workplace) -> None:
    """One slot, idle: at once. A run of 600 s on it: then. Nobody left who could: in words. All reused: nothing."""
    idle = await place.desk.planner.plan(spec(repeats=2, seconds=10))
    assert idle.starts_in is not None
    assert idle.ends_in is not None
    assert idle.starts_in.p50_s == 0
    assert idle.ends_in.p50_s == pytest.approx(idle.predicted_s, rel=0.5)
    await place.submit(seconds=600)
    await place.claimed()
    behind = await place.desk.planner.plan(spec(seconds=10))
    assert behind.starts_in is not None
    assert behind.starts_in.p50_s == pytest.approx(600, abs=60)
    assert behind.forecast == "0 queued runs go before the last of them; 1 slots can run them, 1 of them busy"
    await place.desk.followers.cordon("f1", cordoned=True)
    place.clock.advance(2)
    held = await place.desk.planner.plan(spec())
    assert (held.starts_in, held.ends_in) == (None, None)
    assert "cordoned" in held.forecast


async def test_a_plan_of_what_is_all_measured_already_waits_for_nothing(place: Workplace) -> None:
    """There is nothing to be run."""
    await place.submit()
    await run_all(place)
    plan = await place.desk.planner.plan(spec(reuse="extend"))
    assert (plan.predicted_s, plan.starts_in, plan.ends_in) == (0, None, None)
    assert plan.forecast == "nothing is to be run"
