"""What attempts deliver to the embedded database: files, results, records; once, late, or wrong."""

import asyncio
import hashlib
import os
from typing import Any

import pytest
from support.desks import Workplace, failure, registration, success
from support.stored_records import latency

from leader.perfdb.entities import RecordFilter
from shared.errors import (
    Conflict,
    InvalidInput,
    NotFound,
    StaleFence,
    Unavailable,
)
from shared.jobs.lifecycle import Cause


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
        place.clock.advance(2)
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
    place.clock.advance(2)
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
