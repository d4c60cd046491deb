"""The part of a run that moves, and what follows from its end, on every server that this runs on."""

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial

import pytest
from support.stored_runs import T0, claimed, lease, run

from leader.perfdb import documents, schema
from leader.perfdb.entities import Run
from leader.perfdb.mongo import MongoPerfDB
from shared.jobs import lifecycle
from shared.jobs.lifecycle import TERMINAL, Cause, RunState, RunStatus

NEW_FIELDS = ("failures", "avoid", "not_before_us", "claimed_at_us")


async def move(db: MongoPerfDB, before: Run, status: RunStatus, at: datetime = T0) -> Run:
    """The run as it is stored after the move."""
    moved = await db.runs.move(before, status, at=at)
    assert moved is not None
    assert await db.runs.get(before.id) == moved
    return moved


async def failed_twice(db: MongoPerfDB, number: int = 1) -> Run:
    """Lost with f1, then failed by f2; back in the queue, four seconds of back-off before it."""
    await db.runs.add_all([run(number)])
    first = await claimed(db, run(number))
    back = await move(db, first, lifecycle.requeue(first.status, Cause.LEASE_EXPIRED, "silent", T0))
    second = await claimed(db, back, lease("f2"))
    return await move(db, second, lifecycle.requeue(second.status, Cause.DISK_FULL, "full", T0, "tail"))


async def test_failures_and_what_follows_from_them_are_kept(db: MongoPerfDB) -> None:
    """Counted by cause, with the followers to avoid and the back-off, to the microsecond."""
    status = (await failed_twice(db)).status
    stored = (await db.runs.get(run().id)).status
    assert stored == status
    assert stored.failures == {Cause.LEASE_EXPIRED: 1, Cause.DISK_FULL: 1}
    assert (stored.avoid, stored.not_before) == (("f1", "f2"), T0 + timedelta(seconds=4))
    assert (stored.claimed_at, stored.attempt, stored.log_tail) == (T0, 2, "tail")


async def test_who_waits_is_read_with_its_back_off_and_whom_it_avoids(db: MongoPerfDB) -> None:
    """And neither, of a run that nobody failed."""
    await failed_twice(db, 1)
    await db.runs.add_all([run(2)])
    waiting = {one.id: one for one in await db.runs.waiting(limit=9)}
    failed, fresh = waiting[run(1).id], waiting[run(2).id]
    assert (failed.avoid, failed.not_before, failed.fence) == (("f1", "f2"), T0 + timedelta(seconds=4), 4)
    assert (fresh.avoid, fresh.not_before, fresh.fence) == ((), None, 0)


async def test_runs_of_older_versions_are_read_and_retried(db: MongoPerfDB) -> None:
    """They counted failures without their causes and noted no claim; they start counting anew."""
    older = documents.run_to_document(run(status=RunStatus(fence=2, attempt=1, cause=Cause.LEASE_EXPIRED)))
    for name in NEW_FIELDS:
        del older["status"][name]
    older["status"]["infrastructure_failures"] = 1
    await db._database[schema.RUNS].insert_one(older)
    found = await db.runs.get(run().id)
    assert (found.status.failures, found.status.avoid) == ({}, ())
    assert (found.status.not_before, found.status.claimed_at, found.no_record) == (None, None, None)
    (waits,) = await db.runs.waiting(limit=9)
    assert (waits.fence, waits.avoid, waits.not_before) == (2, (), None)
    held = await claimed(db, found)
    back = await move(db, held, lifecycle.requeue(held.status, Cause.LEASE_EXPIRED, "silent", T0))
    assert (back.status.failures, back.status.avoid) == ({Cause.LEASE_EXPIRED: 1}, ("f1",))


ENDS: dict[RunState, Callable[[RunStatus], RunStatus]] = {
    RunState.SUCCEEDED: lifecycle.succeed,
    RunState.INVALID: partial(lifecycle.invalidate, detail="proves nothing"),
    RunState.FAILED: partial(lifecycle.fail, cause=Cause.SERVER_DIED, detail="x", now=T0),
    RunState.TIMED_OUT: partial(lifecycle.expire, cause=Cause.DEADLINE_PASSED, detail="late"),
    RunState.CANCELLED: lifecycle.cancel,
    RunState.LOST: lambda status: status.model_copy(update={"state": RunState.LOST, "lease": None}),
    RunState.QUARANTINED: lambda status: status.model_copy(update={"state": RunState.QUARANTINED, "lease": None}),
}


async def test_ended_runs_are_found_until_what_follows_is_stored(db: MongoPerfDB) -> None:
    """Of every end; those that were measured come first; each is found once and marked together."""
    assert ENDS.keys() == TERMINAL
    ids = {}
    for number, (state, end) in enumerate(ENDS.items(), 1):
        await db.runs.add_all([run(number)])
        held = await claimed(db, run(number), lease(slot=f"cpu-{number}"))
        ids[state] = (await move(db, held, end(held.status))).id
    found = [one.id for one in await db.runs.unrecorded(limit=99)]
    assert sorted(found) == sorted(ids.values())
    assert set(found[:2]) == {ids[RunState.SUCCEEDED], ids[RunState.INVALID]}
    assert [one.id for one in await db.runs.unrecorded(limit=3)] == found[:3]
    await db.runs.mark_recorded(found[1:])
    assert [one.id for one in await db.runs.unrecorded(limit=99)] == found[:1]
    await db.runs.mark_without_record(found[0], "no evidence")
    assert await db.runs.unrecorded(limit=99) == []
    assert [(await db.runs.get(one)).no_record for one in found[:2]] == ["no evidence", None]


@pytest.mark.parametrize("state", [RunState.CANCELLED, RunState.TIMED_OUT])
async def test_nothing_follows_from_a_run_that_was_never_claimed(db: MongoPerfDB, state: RunState) -> None:
    """It took nothing: one write ends it, and nobody looks at it again."""
    await db.runs.add_all([run()])
    ended = await move(db, run(), ENDS[state](run().status))
    assert ended.recorded
    assert await db.runs.unrecorded(limit=9) == []


async def test_a_run_that_was_claimed_once_is_found_although_it_ends_in_the_queue(db: MongoPerfDB) -> None:
    """Its attempts took a slot."""
    back = await failed_twice(db)
    await move(db, back, lifecycle.cancel(back.status))
    assert [one.id for one in await db.runs.unrecorded(limit=9)] == [back.id]
