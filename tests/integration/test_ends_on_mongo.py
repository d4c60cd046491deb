"""How runs end and what follows from it, on the embedded database: invalid, quarantined, without a record; usage."""

from typing import Any

import pytest
from support.desks import Workplace, failure, registration, success, workplace

from leader.perfdb import schema
from leader.perfdb.entities import RecordFilter
from shared.errors import NotFound, Unavailable
from shared.jobs.lifecycle import MOST_LOSSES, Cause, RunState
from shared.measure.record import Verdict
from shared.wire.assignment import Assignment, Result
from shared.wire.identity import Heartbeat

PROVES_NOTHING = Verdict(kind="invalid", reasons=("errors 12 %", "the host was busy"))


async def crash(*_: Any) -> None:
    """A store that goes away at this point."""
    raise Unavailable("the leader died here")


async def test_a_measurement_that_proves_nothing_is_an_invalid_run(place: Workplace) -> None:
    """The verdict's reasons are the run's; its record is kept and read like any other, and never ranked."""
    job = await place.submit()
    given = await place.claimed()
    samples = await place.upload(given, b"raw samples")
    answer = await place.desk.queue.deliver("f1", given.run_id, success(given, samples, verdict=PROVES_NOTHING))
    assert (answer.accepted, answer.state) == (True, "invalid")
    view = await place.desk.reads.run(given.run_id)
    assert (view.state, view.cause) == (RunState.INVALID, Cause.MEASUREMENT_INVALID)
    assert view.detail == "errors 12 %; the host was busy"
    assert (await place.desk.reads.job(job.id)).state == "invalid"
    assert (await place.desk.reads.record(given.run_id)).record.verdict == PROVES_NOTHING
    assert view.links.keys() >= {"record", "samples"}
    assert (await place.desk.reads.leaderboard("p99_ms", RecordFilter())).groups == ()
    assert (await place.desk.reads.artifact(given.run_id, "samples")).sha256 == samples.sha256
    assert await place.desk.reconciler.run_once() == 0
    told = await place.desk.explainer.explain(given.run_id)
    assert told.words == "it ended as invalid: measurement-invalid: errors 12 %; the host was busy"


async def test_a_run_that_kills_its_followers_is_quarantined(place: Workplace) -> None:
    """However they go: silent or started anew. Each loss is counted by its cause, the last one too."""
    job = await place.submit()
    run_id = job.runs[0].id
    for number in range(MOST_LOSSES):
        await place.desk.followers.register(registration(f"victim-{number}"))
        assert await place.claim(f"victim-{number}") is not None
        if number == 1:
            await place.desk.followers.register(registration(f"victim-{number}", "i-2"))
        else:
            place.clock.advance(20)
            await place.desk.reaper.run_once()
        place.clock.advance(60)
    view = await place.desk.reads.run(run_id)
    assert (view.state, view.cause, view.attempt) == (RunState.QUARANTINED, Cause.LEASE_EXPIRED, MOST_LOSSES)
    assert "it failed on victim-0, victim-1, victim-2" in (view.detail or "")
    assert (await place.desk.reads.job(job.id)).state == "failed"
    assert place.desk.requeues.by_cause == {"lease-expired": 2, "follower-died": 1}
    assert (await place.desk.explainer.explain(run_id)).words.startswith("it ended as quarantined: lease-expired: 3 t")
    assert await place.claim() is None


async def failed_by_f1(place: Workplace) -> Assignment:
    """A run whose first attempt, on f1, ended with a full disk."""
    given = await place.claimed()
    await place.desk.queue.deliver("f1", given.run_id, failure(given, Cause.DISK_FULL))
    return given


async def alive(place: Workplace, *followers: str, for_s: float) -> None:
    """Time passes; these followers are heard of."""
    place.clock.advance(for_s)
    for name in followers:
        await place.desk.followers.heartbeat(name, Heartbeat(incarnation="i-1"))


async def test_a_failed_run_goes_to_another_follower_first(mongo_url: str) -> None:
    """After its back-off: f1, which failed it, leaves it to f2 as long as f2 is there. Explain says all of it."""
    async with workplace(mongo_url, followers=2) as place:
        await place.submit()
        given = await failed_by_f1(place)
        told = await place.desk.explainer.explain(given.run_id)
        assert told.why == "backing-off"
        last = "attempt 1 failed: disk-full: it broke"
        assert told.words == f"waits 2 s after its last failure; f1 failed it; f2 first; {last}"
        assert await place.claim("f2") is None
        await alive(place, "f1", "f2", for_s=2)
        assert await place.claim("f1") is None
        assert (await place.claimed("f2")).run_id == given.run_id


async def test_a_failed_run_goes_back_where_the_other_follower_is_gone(mongo_url: str) -> None:
    """Not heard of within its lease, it is nobody to wait for."""
    async with workplace(mongo_url, followers=2) as place:
        await place.submit()
        given = await failed_by_f1(place)
        await alive(place, "f1", for_s=16)
        assert (await place.claimed("f1")).run_id == given.run_id


async def test_a_leader_that_has_not_seen_the_failure_does_not_undo_the_back_off(mongo_url: str) -> None:
    """Its queue in memory still has the run as it was before; what is stored decides."""
    async with workplace(mongo_url) as one, workplace(mongo_url, followers=0) as other:
        await one.submit()
        await other.desk.lineup.look_now()
        given = await failed_by_f1(one)
        assert await other.claim("f1") is None
        other.clock.advance(2.1)
        assert (await other.claimed("f1")).run_id == given.run_id


async def spent(place: Workplace) -> dict[str, float]:
    """Run -> slot-seconds, as stored."""
    return {one.run_id: one.occupied_s for one in await place.db.spent.newest(since=None, limit=99)}


@pytest.mark.parametrize("end", ["failed", "cancelled", "timed-out"])
async def test_what_a_run_took_survives_a_crash(mongo_url: str, end: str) -> None:
    """It counts in this leader at once, and the next one stores it, whatever the end was."""
    async with workplace(mongo_url) as place:
        await place.submit(deadline="10s")
        given = await place.claimed()
        place.clock.advance(10 if end == "timed-out" else 7)
        if end == "failed":
            await place.desk.queue.deliver("f1", given.run_id, failure(given))
        elif end == "cancelled":
            await place.desk.submissions.cancel_run(given.run_id)
        else:
            await place.desk.reaper.run_once()
        took = {given.run_id: 10.0 if end == "timed-out" else 7.0}
        assert (await place.state(given.run_id)).value == end
        assert place.desk.ledger.use(1e9)["default"].spent_s == took[given.run_id]
        assert await spent(place) == {}
    async with workplace(mongo_url) as later:
        await later.desk.reconciler.run_once()
        assert await spent(later) == took
        assert later.desk.ledger.use(1e9)["default"].spent_s == took[given.run_id]
        assert await later.db.runs.unrecorded(limit=9) == []


async def test_usage_that_was_stored_but_not_marked_is_stored_once(
    place: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The crash was between the two: the next round writes the same entry and marks the run."""
    await place.submit()
    given = await place.claimed()
    place.clock.advance(7)
    await place.desk.queue.deliver("f1", given.run_id, failure(given))
    with monkeypatch.context() as patched:
        patched.setattr(place.db.runs, "mark_recorded", crash)
        with pytest.raises(Unavailable):
            await place.desk.reconciler.run_once()
    await place.desk.reconciler.run_once()
    assert await spent(place) == {given.run_id: 7.0}
    assert place.desk.ledger.use(1e9)["default"].spent_s == 7.0
    assert await place.db.runs.unrecorded(limit=9) == []


async def test_runs_that_never_ran_leave_nothing_to_settle(place: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cancelled sweep is one write a run; neither usage nor a mark follows."""
    job = await place.submit(repeats=3)
    with monkeypatch.context() as patched:
        patched.setattr(place.db.spent, "put", crash)
        patched.setattr(place.db.runs, "mark_recorded", crash)
        await place.desk.submissions.cancel_job(job.id)
        await place.desk.reconciler.run_once()
    assert await spent(place) == {}


async def without_record(place: Workplace, monkeypatch: pytest.MonkeyPatch, result: Result, run_id: str) -> None:
    """The result was accepted, its record not stored in time, and then the evidence was lost."""
    with monkeypatch.context() as patched:
        patched.setattr(place.db.records, "put", crash)
        assert (await place.desk.queue.deliver("f1", run_id, result)).accepted
    await place.db._database[schema.ATTEMPTS].delete_one({"run_id": run_id})


async def test_a_record_that_can_never_be_derived_is_said_to_be_missing(
    place: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the run's view and to whoever asks for it; what the run took still counts, and nobody tries again."""
    await place.submit()
    given = await place.claimed()
    place.clock.advance(7)
    await without_record(place, monkeypatch, success(given), given.run_id)
    await place.desk.reconciler.run_once()
    view = await place.desk.reads.run(given.run_id)
    assert (view.state, view.has_record) == (RunState.SUCCEEDED, False)
    assert view.no_record == f"attempt 1 of run {given.run_id} has delivered nothing"
    assert "record" not in view.links
    with pytest.raises(NotFound, match="has delivered nothing"):
        await place.desk.reads.record(given.run_id)
    assert (await place.desk.explainer.explain(given.run_id)).words.endswith("has delivered nothing")
    assert await spent(place) == {given.run_id: 7.0}
    assert await place.desk.reconciler.run_once() == 0


async def test_evidence_that_cannot_be_read_is_said_to_be_so(place: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
    """A torn document stops neither the reconciler nor the runs behind it."""
    await place.submit(repeats=2)
    given = []
    with monkeypatch.context() as patched:
        patched.setattr(place.db.records, "put", crash)
        for _ in range(2):
            given.append(await place.claimed())
            await place.desk.queue.deliver("f1", given[-1].run_id, success(given[-1]))
    torn = {"$set": {"result": '{"incarnation": "i-1"'}}
    await place.db._database[schema.ATTEMPTS].update_one({"run_id": given[0].run_id}, torn)
    assert await place.desk.reconciler.run_once() == 2
    view = await place.desk.reads.run(given[0].run_id)
    assert (view.no_record or "").startswith("what attempt 1 delivered cannot be read")
    assert (await place.desk.reads.record(given[1].run_id)).run_id == given[1].run_id
