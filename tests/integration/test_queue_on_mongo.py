"""The queue on the embedded database: submit, claim, lease, deliver, cancel, and what crashes and races leave."""

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator
from typing import Any

import pytest
from onnx import TensorProto, helper
from support.desks import Workplace, failure, registration, spec, stream, success, workplace
from support.mongo_servers import running_mongo
from support.stored_records import latency

from leader.manage.events import Events
from leader.perfdb.entities import JobFilter, RecordFilter
from leader.perfdb.mongo import connect
from shared.errors import (
    Conflict,
    IdempotencyMismatch,
    InvalidInput,
    NotAvailable,
    NotFound,
    StaleFence,
    Unavailable,
)
from shared.jobs.lifecycle import MAX_INFRASTRUCTURE_RETRIES, Cause, RunState
from shared.wire.assignment import Progress, ProgressEvent
from shared.wire.identity import Heartbeat
from shared.wire.views import EventView


@pytest.fixture
async def place(mongo_url: str) -> AsyncIterator[Workplace]:
    """A desk with one follower, f1, that has one slot."""
    async with workplace(mongo_url) as opened:
        yield opened


async def state_of(place: Workplace, run_id: str) -> RunState:
    """Where the run stands."""
    return (await place.desk.reads.run(run_id)).state


# --- submit


async def test_the_same_submit_again_is_the_same_job(place: Workplace) -> None:
    """Also when both come at once; another owner's key is another job; another body is refused."""
    first, again = await asyncio.gather(place.submit(key="k"), place.submit(key="k"))
    assert first.id == again.id
    assert (await place.submit(key="k", owner="bob")).id != first.id
    with pytest.raises(IdempotencyMismatch, match=first.id):
        await place.submit(key="k", body="other")
    assert len(await place.db.jobs.page(JobFilter(), before=None, limit=9)) == 2


async def test_a_repeated_submit_is_answered_even_when_nobody_could_run_it_now(place: Workplace) -> None:
    """What was accepted stays accepted."""
    first = await place.submit(key="k")
    await place.desk.followers.register(registration("f1", "i-2", model_families=()))
    assert (await place.submit(key="k")).id == first.id


async def test_a_sweep_becomes_runs_with_points_that_have_dots(place: Workplace) -> None:
    """Repeats come after all points; the runs of one task share its key."""
    job = await place.submit(sweep={"service.batching.max_batch_size": [1, 8], "workload.rate": [10.0]}, repeats=2)
    points = [(run.index, run.repeat, run.point) for run in job.runs]
    assert points == [
        (0, 0, {"service.batching.max_batch_size": 1, "workload.rate": 10.0}),
        (1, 0, {"service.batching.max_batch_size": 8, "workload.rate": 10.0}),
        (2, 1, {"service.batching.max_batch_size": 1, "workload.rate": 10.0}),
        (3, 1, {"service.batching.max_batch_size": 8, "workload.rate": 10.0}),
    ]
    assert [run.point for run in (await place.desk.reads.job(job.id)).runs] == [point for _, _, point in points]
    assert len({run.comparability_key for run in await place.db.runs.of_job(job.id)}) == 1


async def test_only_a_follower_with_the_labels_gets_the_run(place: Workplace) -> None:
    """Refused while there is none; kept as they are."""
    labels = {"zone": "lab-2", "rack": "7"}
    with pytest.raises(NotAvailable):
        await place.submit(requires={"labels": labels})
    await place.desk.followers.register(registration("f2", labels={**labels, "$ne": "a.b"}))
    job = await place.submit(requires={"labels": labels})
    assert job.spec["requires"]["labels"] == labels
    assert await place.claim() is None
    assert (await place.claimed("f2")).spec.requires.labels == labels


async def test_what_nobody_can_run_is_refused_and_not_stored(place: Workplace) -> None:
    """With the place in the job file and what is there instead; an unknown model is not found."""
    with pytest.raises(NotAvailable) as refused:
        await place.submit(service={"platform": "triton"})
    assert [(problem.path, problem.found) for problem in refused.value.problems] == [("service.platform", "triton")]
    with pytest.raises(NotFound, match="nothing"):
        await place.submit(model={"name": "nothing"})
    assert await place.db.jobs.page(JobFilter(), before=None, limit=9) == []


async def test_a_plan_has_no_side_effect(place: Workplace) -> None:
    """It tells runs, seconds and keys."""
    plan = await place.desk.submissions.plan(spec(repeats=3, seconds=10))
    assert (len(plan.runs), len(plan.comparability_keys)) == (3, 1)
    assert plan.predicted_s == pytest.approx(sum(run.predicted_s for run in plan.runs))
    assert plan.runs[0].predicted_s > 10
    assert await place.db.jobs.page(JobFilter(), before=None, limit=9) == []


async def test_a_crash_between_job_and_runs_is_repaired(place: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
    """The job was stored, so it is accepted: the reconciler completes it, with the same runs."""

    async def crash(*_: Any) -> None:
        raise Unavailable("the leader died here")

    with monkeypatch.context() as patched:
        patched.setattr(place.db.runs, "add_all", crash)
        with pytest.raises(Unavailable):
            await place.submit(key="k", repeats=3)
    (stored,) = await place.db.jobs.page(JobFilter(), before=None, limit=9)
    view = await place.desk.reads.job(stored.id)
    assert (view.state, view.run_states, view.runs) == ("queued", {RunState.QUEUED: 3}, ())
    assert await place.desk.reconciler.run_once() == 1
    assert await place.desk.reconciler.run_once() == 0
    assert [run.id for run in (await place.desk.reads.job(stored.id)).runs] == [
        f"{stored.id}.{n:04d}" for n in range(3)
    ]
    assert (await place.submit(key="k", repeats=3)).id == stored.id


async def test_a_submit_rings_those_that_are_alive(place: Workplace) -> None:
    """A follower silent for longer than its lease is not rung."""
    place.clock.advance(100)
    await place.desk.followers.register(registration("f2"))
    place.bell.rung.clear()
    await place.submit()
    assert place.bell.rung == ["f2"]


# --- claim and lease


async def test_the_shortest_run_is_claimed_first(place: Workplace) -> None:
    """Then the oldest of equals; priority goes before both."""
    long, short, also_short = [(await place.submit(seconds=s)).id for s in (60, 5, 5)]
    urgent = (await place.submit(seconds=600, priority="high")).id
    order = []
    for _ in range(4):
        given = await place.claimed()
        order.append(given.job_id)
        await place.desk.queue.deliver("f1", given.run_id, failure(given))
    assert order == [urgent, short, also_short, long]
    assert await place.claim() is None


async def test_many_followers_run_each_run_once(mongo_url: str) -> None:
    """Eight followers fight for thirty runs."""
    async with workplace(mongo_url, followers=8) as place:
        job = await place.submit(repeats=30)

        async def work(name: str) -> list[str]:
            done = []
            while given := await place.claim(name):
                done.append(given.run_id)
                result = success(given, follower=name)
                assert (await place.desk.queue.deliver(name, given.run_id, result)).accepted
            return done

        ran = await asyncio.gather(*(work(f"f{number}") for number in range(1, 9)))
        everything = sorted(run_id for runs in ran for run_id in runs)
        assert everything == [run.id for run in job.runs]
        assert (await place.desk.reads.job(job.id)).state == "succeeded"


async def test_a_claim_passes_over_what_the_follower_cannot_run(mongo_url: str) -> None:
    """Even if sixty such runs stand before the one that it can."""
    async with workplace(mongo_url) as place:
        await place.desk.followers.register(registration("f2", model_families=("lstm",)))
        await place.submit(repeats=60)
        other = await place.submit(model={"generate": {"family": "lstm"}}, seconds=50)
        assert (await place.claimed("f2")).job_id == other.id


async def test_a_claim_whose_answer_got_lost_gives_the_same_run(place: Workplace) -> None:
    """Once it has started, the slot gets nothing until that attempt is over."""
    await place.submit(repeats=2)
    first, again = await place.claimed(), await place.claimed()
    assert (again.run_id, again.attempt, again.fence) == (first.run_id, first.attempt, first.fence)
    await place.renew(first, started=True)
    assert await place.claim() is None
    await place.desk.queue.deliver("f1", first.run_id, failure(first))
    assert (await place.claimed()).run_id != first.run_id


async def test_two_claims_for_one_slot_at_once_give_one_run(place: Workplace) -> None:
    """The database lets a slot hold one attempt."""
    await place.submit(repeats=4)
    answers = await asyncio.gather(*(place.claim() for _ in range(4)), return_exceptions=True)
    held = await place.db.runs.leased_to("f1")
    assert len(held) == 1
    assert {a.run_id for a in answers if not isinstance(a, BaseException) and a is not None} == {held[0].id}
    assert all(isinstance(a, Conflict) for a in answers if isinstance(a, BaseException))


async def test_only_a_known_follower_slot_and_incarnation_may_claim(place: Workplace) -> None:
    """Others are told to register."""
    await place.submit()
    with pytest.raises(NotFound):
        await place.claim("nobody")
    for slot, incarnation in (("cpu-9", "i-1"), ("cpu-0", "i-0")):
        with pytest.raises(Conflict, match="register again"):
            await place.claim("f1", slot, incarnation)


async def test_an_expired_lease_returns_the_run(place: Workplace) -> None:
    """Only after the grace; the old attempt is refused everywhere; the next one has a new fence."""
    await place.submit()
    given = await place.claimed()
    place.clock.advance(17)
    assert await place.desk.reaper.run_once() == 0
    place.clock.advance(2)
    assert await place.desk.reaper.run_once() == 1
    assert await place.desk.reaper.run_once() == 0
    with pytest.raises(StaleFence):
        await place.renew(given)
    with pytest.raises(StaleFence):
        await place.upload(given, b"late")
    with pytest.raises(StaleFence):
        await place.desk.queue.progress(
            "f1", given.run_id, Progress(incarnation="i-1", attempt=given.attempt, fence=given.fence, events=())
        )
    next_one = await place.claimed()
    assert (next_one.run_id, next_one.attempt) == (given.run_id, 2)
    assert next_one.fence > given.fence


async def test_a_renewed_lease_is_kept(place: Workplace) -> None:
    """For as long as it is renewed."""
    await place.submit()
    given = await place.claimed()
    for _ in range(5):
        place.clock.advance(14)
        assert await place.renew(given, started=True) == 15.0
        assert await place.desk.reaper.run_once() == 0
    assert await state_of(place, given.run_id) is RunState.RUNNING


async def test_a_run_that_loses_every_follower_is_lost(place: Workplace) -> None:
    """Bounded retries, then an end state with its cause."""
    job = await place.submit()
    for _ in range(MAX_INFRASTRUCTURE_RETRIES + 1):
        await place.claimed()
        place.clock.advance(100)
        assert await place.desk.reaper.run_once() == 1
    run = await place.desk.reads.run(job.runs[0].id)
    assert (run.state, run.cause, run.attempt) == (RunState.LOST, Cause.LEASE_EXPIRED, MAX_INFRASTRUCTURE_RETRIES + 1)
    assert (await place.desk.reads.job(job.id)).state == "failed"


async def test_a_follower_started_anew_gives_its_runs_back_at_once(place: Workplace) -> None:
    """Those of its older incarnation; registering again as the same one changes nothing."""
    await place.submit()
    given = await place.claimed()
    await place.desk.followers.register(registration("f1", "i-1"))
    assert await state_of(place, given.run_id) is RunState.CLAIMED
    await place.desk.followers.register(registration("f1", "i-2"))
    assert await state_of(place, given.run_id) is RunState.QUEUED
    assert (await place.claimed("f1", incarnation="i-2")).attempt == 2


async def test_followers_are_listed_with_life_and_work(place: Workplace) -> None:
    """Alive as long as they were heard of within the lease."""
    await place.submit()
    given = await place.claimed()
    place.clock.advance(14)
    await place.desk.followers.heartbeat("f1", Heartbeat(incarnation="i-1", busy_slots=("cpu-0",)))
    place.clock.advance(14)
    (view,) = await place.desk.followers.list()
    assert (view.name, view.alive, view.running) == ("f1", True, (given.run_id,))
    place.clock.advance(2)
    assert not (await place.desk.followers.list())[0].alive
    with pytest.raises(Conflict):
        await place.desk.followers.heartbeat("f1", Heartbeat(incarnation="i-0"))
    with pytest.raises(NotFound):
        await place.desk.followers.heartbeat("f9", Heartbeat(incarnation="i-0"))


# --- deliver


async def test_a_result_becomes_a_record_and_a_leaderboard_row(place: Workplace) -> None:
    """With the leader's own keys and metrics, and the files beside it."""
    job = await place.submit()
    given = await place.claimed()
    samples, log = os.urandom(5000), b"server log"
    files = [await place.upload(given, samples), await place.upload(given, log, "log")]
    answer = await place.desk.queue.deliver("f1", given.run_id, success(given, *files, p99_ms=7.5))
    assert (answer.accepted, answer.state) == (True, "succeeded")
    found = (await place.desk.reads.record(given.run_id)).record
    run = await place.db.runs.get(given.run_id)
    assert (found.comparability_key, found.metrics["p99_ms"]) == (run.comparability_key, 7.5)
    assert found.samples_sha256 == hashlib.sha256(samples).hexdigest()
    board = await place.desk.reads.leaderboard("p99_ms", RecordFilter(job_id=job.id))
    (row,) = board.groups[0].rows
    assert (row.rank, row.run_id, row.value, row.hardware) == (1, given.run_id, 7.5, "Test CPU (1 of 4)")
    assert [await read(place, given.run_id, kind) for kind in ("samples", "log")] == [samples, log]
    page = await place.desk.reads.records(RecordFilter(model="fc"))
    assert [view.run_id for view in page.items] == [given.run_id]


async def read(place: Workplace, run_id: str, kind: Any) -> bytes:
    """A file that an attempt left."""
    blob = await place.desk.reads.artifact(run_id, kind)
    return b"".join([chunk async for chunk in blob.chunks])


@pytest.mark.parametrize("cause", [None, Cause.SERVER_DIED, Cause.FOLLOWER_ERROR])
async def test_the_same_result_twice_gets_the_same_answer(place: Workplace, cause: Cause | None) -> None:
    """Success, the run's own failure, and a failure that requeues, even after the next attempt began."""
    await place.submit()
    given = await place.claimed()
    result = failure(given, cause) if cause else success(given)
    first = await place.desk.queue.deliver("f1", given.run_id, result)
    assert first.accepted
    assert first.state == {None: "succeeded", Cause.SERVER_DIED: "failed", Cause.FOLLOWER_ERROR: "queued"}[cause]
    if cause is Cause.FOLLOWER_ERROR:
        assert (await place.claimed()).attempt == 2
    before = await place.kinds(given.run_id)
    answers = await asyncio.gather(*(place.desk.queue.deliver("f1", given.run_id, result) for _ in range(3)))
    assert answers == [first] * 3
    assert await place.kinds(given.run_id) == before
    with pytest.raises(Conflict, match="another result"):
        await place.desk.queue.deliver("f1", given.run_id, success(given, p99_ms=1.0))


async def test_a_late_result_is_kept_but_does_not_count(place: Workplace) -> None:
    """The run was given to another meanwhile; its result counts."""
    await place.submit()
    late = await place.claimed()
    place.clock.advance(100)
    await place.desk.reaper.run_once()
    await place.desk.followers.register(registration("f2"))
    current = await place.claimed("f2")
    answer = await place.desk.queue.deliver("f1", late.run_id, success(late, p99_ms=1.0))
    assert (answer.accepted, answer.state) == (False, "claimed")
    assert (await place.db.evidence.get(late.run_id, 1)).follower == "f1"
    assert (await place.desk.queue.deliver("f2", current.run_id, success(current, follower="f2", p99_ms=2.0))).accepted
    assert not (await place.desk.queue.deliver("f1", late.run_id, success(late, p99_ms=1.0))).accepted
    assert (await place.desk.reads.record(late.run_id)).record.metrics["p99_ms"] == 2.0


async def test_an_attempt_that_was_never_given_is_refused(place: Workplace) -> None:
    """Another follower, another fence, another attempt: nothing is stored."""
    await place.submit()
    await place.desk.followers.register(registration("f2"))
    given = await place.claimed()
    forged = [("f2", success(given, follower="f2")), ("f1", success(given.model_copy(update={"fence": 9}))),
              ("f1", success(given.model_copy(update={"attempt": 2})))]  # fmt: skip
    for follower, result in forged:
        with pytest.raises(StaleFence):
            await place.desk.queue.deliver(follower, given.run_id, result)
    with pytest.raises(StaleFence):
        await place.renew(given, "f2")
    with pytest.raises(NotFound):
        await place.db.evidence.get(given.run_id, 1)


@pytest.mark.parametrize(
    "wrong",
    [
        {"run_id": "j-00000000000000000000000009.0000"},
        {"job_id": "j-x"},
        {"throughput_rps": float("nan")},
        {"response_latency": latency(float("inf"))},
        {"stages": {}},
    ],
)
async def test_a_record_that_cannot_be_is_refused(place: Workplace, wrong: dict[str, Any]) -> None:
    """Of another run, with a number that is none, or without its stages; the attempt goes on."""
    await place.submit()
    given = await place.claimed()
    result = success(given)
    fields = {**result.outcome.model_dump(), "record": result.outcome.record.model_copy(update=wrong)}  # type: ignore[union-attr]
    outcome = result.outcome.model_copy(update={"record": fields["record"]})
    with pytest.raises(InvalidInput):
        await place.desk.queue.deliver("f1", given.run_id, result.model_copy(update={"outcome": outcome}))
    assert (await place.desk.queue.deliver("f1", given.run_id, success(given))).accepted


async def test_artifacts_are_what_they_claim_to_be(place: Workplace) -> None:
    """A wrong digest is refused at upload, a missing file at delivery; a second upload replaces the first."""
    await place.submit()
    given = await place.claimed()
    with pytest.raises(InvalidInput, match="SHA-256"):
        await place.upload(given, b"data", sha256="0" * 64)
    first = await place.upload(given, b"data")
    with pytest.raises(InvalidInput, match="samples"):
        await place.desk.queue.deliver(
            "f1", given.run_id, success(given, first.model_copy(update={"sha256": "1" * 64}))
        )
    second = await place.upload(given, b"other data")
    with pytest.raises(NotFound):
        await place.blobs.open(first.sha256, kinds=["artifact"])
    with pytest.raises(NotFound):
        await place.desk.reads.blob_for_follower(second.sha256)
    await place.desk.queue.deliver("f1", given.run_id, success(given, second))
    assert await read(place, given.run_id, "samples") == b"other data"
    with pytest.raises(NotFound, match="log"):
        await place.desk.reads.artifact(given.run_id, "log")


async def test_a_record_lost_in_a_crash_is_derived_again(place: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the evidence, by the reconciler: the result had been accepted."""
    await place.submit()
    given = await place.claimed()

    async def crash(*_: Any) -> None:
        raise Unavailable("the database went away here")

    with monkeypatch.context() as patched:
        patched.setattr(place.db.records, "put", crash)
        assert (await place.desk.queue.deliver("f1", given.run_id, success(given))).accepted
    with pytest.raises(NotFound):
        await place.desk.reads.record(given.run_id)
    assert await place.desk.reconciler.run_once() == 1
    assert (await place.desk.reads.record(given.run_id)).record.run_id == given.run_id
    assert await place.desk.reconciler.run_once() == 0


# --- cancel


async def test_a_cancel_is_final_at_once(place: Workplace) -> None:
    """Whatever the attempt still sends is refused or superseded, and its follower is rung."""
    await place.submit()
    given = await place.claimed()
    await place.renew(given, started=True)
    place.bell.rung.clear()
    view = await place.desk.submissions.cancel_run(given.run_id)
    assert (view.state, view.cause) == (RunState.CANCELLED, Cause.CANCELLED_BY_USER)
    assert place.bell.rung == ["f1"]
    with pytest.raises(StaleFence):
        await place.renew(given)
    answer = await place.desk.queue.deliver("f1", given.run_id, success(given))
    assert (answer.accepted, answer.state) == (False, "cancelled")
    with pytest.raises(Conflict, match="cancelled already"):
        await place.desk.submissions.cancel_run(given.run_id)


async def test_cancelling_a_job_ends_what_has_not_ended(place: Workplace) -> None:
    """Finished runs keep their state; cancelling again changes nothing."""
    job = await place.submit(repeats=3)
    given = await place.claimed()
    await place.desk.queue.deliver("f1", given.run_id, success(given))
    await place.claimed()
    view = await place.desk.submissions.cancel_job(job.id)
    assert (view.state, view.run_states) == ("cancelled", {RunState.SUCCEEDED: 1, RunState.CANCELLED: 2})
    assert (await place.desk.submissions.cancel_job(job.id)).run_states == view.run_states
    assert await place.claim() is None
    with pytest.raises(Conflict, match="succeeded already"):
        await place.desk.submissions.cancel_run(given.run_id)


async def test_cancel_and_success_at_once_have_one_winner(place: Workplace) -> None:
    """Both sides are told the same."""
    for _ in range(5):
        job = await place.submit()
        given = await place.claimed()
        delivered, cancelled = await asyncio.gather(
            place.desk.queue.deliver("f1", given.run_id, success(given)),
            place.desk.submissions.cancel_run(given.run_id),
            return_exceptions=True,
        )
        state = await state_of(place, job.runs[0].id)
        assert not isinstance(delivered, BaseException)
        assert delivered.accepted == (state is RunState.SUCCEEDED)
        assert isinstance(cancelled, Conflict) == (state is RunState.SUCCEEDED)


# --- events


def step(n: int, kind: str = "measuring") -> ProgressEvent:
    """A follower's event."""
    return ProgressEvent(n=n, at="2026-03-01T12:00:00Z", kind=kind, message="$m", data={"a.b": {"$c": n}})


async def test_a_runs_story_is_complete_ordered_and_resumable(place: Workplace) -> None:
    """Over a lost attempt and a good one; ids grow; nothing is told twice."""
    job = await place.submit()
    run_id = job.runs[0].id
    lost = await place.claimed()
    await report(place, lost.fence, 1, 1, 2)
    place.clock.advance(100)
    await place.desk.reaper.run_once()
    good = await place.claimed()
    await report(place, good.fence, 2, 1)
    await report(place, good.fence, 2, 1, 2)
    await place.desk.queue.deliver("f1", run_id, success(good))
    story = await place.kinds(run_id)
    assert story == [
        ("0.0", "queued"), ("1.0", "claimed"), ("1.1", "measuring"), ("1.2", "measuring"), ("2.0", "requeued"),
        ("3.0", "claimed"), ("3.1", "measuring"), ("3.2", "measuring"), ("3.1000000", "succeeded"),
    ]  # fmt: skip
    for at, (event_id, _) in enumerate(story):
        rest = await place.desk.events.after(run_id, event_id)
        assert [event.id for event in rest] == [identity for identity, _ in story[at + 1 :]]
    with pytest.raises(InvalidInput, match=r"FENCE\.N"):
        await place.desk.events.after(run_id, "$ne")
    with pytest.raises(NotFound):
        await place.desk.events.after("nothing", None)


async def report(place: Workplace, fence: int, attempt: int, *numbers: int) -> None:
    """The follower's progress on the only run."""
    (job,) = await place.db.jobs.page(JobFilter(), before=None, limit=2)
    progress = Progress(incarnation="i-1", attempt=attempt, fence=fence, events=tuple(step(n) for n in numbers))
    await place.desk.queue.progress("f1", f"{job.id}.0000", progress)


async def test_a_watcher_hears_of_news_at_once_and_of_the_end(place: Workplace) -> None:
    """It is woken, not left to look by itself; a quiet time is told as None; the stream ends with the run."""
    job = await place.submit()
    run_id = job.runs[0].id
    patient = Events(place.db.runs, place.db.events, place.desk.queue._listeners, look_every_s=60)
    heard: list[str] = []

    async def watch() -> None:
        events = patient.follow(run_id, None, idle_s=30)
        heard.extend([event.kind if isinstance(event, EventView) else "quiet" async for event in events])

    watching = asyncio.create_task(watch())
    given = await place.claimed()
    await report(place, given.fence, 1, 1)
    await place.desk.queue.deliver("f1", run_id, failure(given))
    await asyncio.wait_for(watching, 20)
    assert heard == ["queued", "claimed", "measuring", "failed"]
    after_the_end = [event async for event in patient.follow(run_id, f"{given.fence}.1000000")]
    assert after_the_end == []


async def test_a_watcher_finds_what_another_leader_did(place: Workplace) -> None:
    """Nobody wakes it; the database is the truth."""
    job = await place.submit()
    lonely = Events(place.db.runs, place.db.events, type(place.desk.queue._listeners)(), look_every_s=0.05)
    stream_of_events = lonely.follow(job.runs[0].id, "0.0", idle_s=0.05)
    assert await anext(stream_of_events) is None
    await place.desk.submissions.cancel_run(job.runs[0].id)
    kinds = [event.kind async for event in stream_of_events if event is not None]
    assert kinds == ["cancelled"]


# --- models and datasets


def tiny_onnx() -> bytes:
    """A real model: one ReLU."""
    tensors = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 3]) for name in ("x", "y")]
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", tensors[:1], tensors[1:])
    data: bytes = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8
    ).SerializeToString()
    return data


async def add_model(place: Workplace, name: str = "relu") -> int:
    """Register and send it."""
    data = tiny_onnx()
    models = place.desk.models
    view = await models.register(name=name, sha256=hashlib.sha256(data).hexdigest(), size_bytes=len(data), card={})
    return (await models.upload(name, view.version, stream(data))).version


async def test_latest_is_pinned_at_submit(place: Workplace) -> None:
    """A newer version changes nothing for a job that was accepted; the bytes come by digest."""
    await add_model(place)
    job = await place.submit(model={"name": "relu"})
    await add_model(place)
    given = await place.claimed()
    assert given.model is not None
    assert given.model.version == 1
    assert given.spec.model_dump()["model"] == {"name": "relu", "version": 1}
    blob = await place.desk.reads.blob_for_follower(given.model.sha256)
    assert b"".join([chunk async for chunk in blob.chunks]) == tiny_onnx()
    with pytest.raises(Conflict, match="has not ended"):
        await place.desk.models.delete("relu", 1)
    await place.desk.submissions.cancel_job(job.id)
    await place.desk.models.delete("relu", 1)


async def test_an_uploaded_dataset_is_pinned_and_served(place: Workplace) -> None:
    """No follower announces it, and any can run it; what is not Parquet is refused."""
    data = b"PAR1" + bytes(20) + b"PAR1"
    sha256 = hashlib.sha256(data).hexdigest()
    view = await place.desk.datasets.register(name="mine", sha256=sha256, size_bytes=len(data), description="d")
    with pytest.raises(NotAvailable):
        await place.submit(requests={"dataset": "mine"})
    await place.desk.datasets.upload("mine", view.version, stream(data))
    await place.submit(requests={"dataset": "mine"})
    given = await place.claimed()
    assert given.dataset is not None
    assert (given.dataset.name, given.dataset.sha256) == ("mine", sha256)
    listed = (await place.desk.datasets.list()).items
    assert [(one.name, one.builtin) for one in listed] == [("synthetic", True), ("mine", False)]
    with pytest.raises(Conflict, match="built-in"):
        await place.desk.datasets.register(name="synthetic", sha256=sha256, size_bytes=1)
    bad = b"not parquet at all"
    await place.desk.datasets.register(name="bad", sha256=hashlib.sha256(bad).hexdigest(), size_bytes=len(bad))
    with pytest.raises(InvalidInput, match="Parquet"):
        await place.desk.datasets.upload("bad", 1, stream(bad))


# --- lists


async def test_jobs_are_listed_by_state(place: Workplace) -> None:
    """Pages lead through all of them; a foreign cursor is refused."""
    jobs = [await place.submit(name=f"n{number}") for number in range(5)]
    for job in jobs[::2]:
        await place.desk.submissions.cancel_job(job.id)
    seen: list[str] = []
    cursor: str | None = None
    while True:
        page = await place.desk.reads.jobs(JobFilter(), state="cancelled", limit=1, cursor=cursor)
        seen += [view.name for view in page.items]
        cursor = page.next_cursor
        if cursor is None:
            break
    assert seen == ["n4", "n2", "n0"]
    assert [view.name for view in (await place.desk.reads.jobs(JobFilter(name="n3"))).items] == ["n3"]
    with pytest.raises(InvalidInput, match="cursor"):
        await place.desk.reads.jobs(JobFilter(), cursor="$gt")


async def test_an_unknown_metric_names_the_nearest(place: Workplace) -> None:
    """Before the database is asked anything."""
    with pytest.raises(InvalidInput) as error:
        await place.desk.reads.leaderboard("p99_sm", RecordFilter())
    assert error.value.problems[0].suggestion == "p99_ms"
    assert (await place.desk.reads.leaderboard("p99_ms", RecordFilter(), key="none")).groups == ()


# --- power cuts


async def test_no_acknowledged_submit_or_result_is_lost_by_kill_9() -> None:
    """Three SIGKILLs of the database under load: what was answered is there afterwards."""
    with running_mongo("nx") as server:
        url = server.fresh_url() + "?serverSelectionTimeoutMS=2000"
        acknowledged: list[str] = []
        done: list[str] = []
        for round_number in range(3):
            await _load_until_killed(server.kill, url, acknowledged, done, round_number)
            server.start()
        async with workplace(url, followers=4) as place:
            for _ in range(3):
                await place.desk.reconciler.run_once()
            stored = {job.id for job in await place.db.jobs.page(JobFilter(), before=None, limit=10_000)}
            assert set(acknowledged) <= stored
            for run_id in done:
                assert await state_of(place, run_id) is RunState.SUCCEEDED
                assert (await place.desk.reads.record(run_id)).record.run_id == run_id
        assert len(acknowledged) > 30
        assert len(done) > 3


async def _load_until_killed(kill: Any, url: str, acknowledged: list[str], done: list[str], number: int) -> None:
    """Submit, claim and deliver from several sides until the database dies."""
    async with workplace(url, followers=4) as place:
        enough = asyncio.Event()

        async def submit(owner: str) -> None:
            while True:
                acknowledged.append((await place.submit(owner=owner)).id)
                if len(acknowledged) >= 15 * (number + 1) and len(done) >= 2 * (number + 1):
                    enough.set()

        async def work(follower: str) -> None:
            while True:
                given = await place.claim(follower)
                if given is None:
                    await asyncio.sleep(0.01)
                    continue
                answer = await place.desk.queue.deliver(follower, given.run_id, success(given, follower=follower))
                if answer.accepted:
                    done.append(given.run_id)

        async def cut() -> None:
            await enough.wait()
            await asyncio.to_thread(kill)

        sides = [submit("ann"), submit("bob"), work("f1"), work("f2"), work("f3"), cut()]
        ends = await asyncio.gather(*sides, return_exceptions=True)
    assert all(isinstance(end, Unavailable) for end in ends[:-1]), ends


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
