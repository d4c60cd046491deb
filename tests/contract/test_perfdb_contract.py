"""What the stores of jobs and runs owe, on every server that we claim to run on."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from support.mongo_servers import talk_to_a_dead_server
from support.stored_runs import (
    NASTY,
    T0,
    claimed,
    job,
    job_id,
    lease,
    run,
)

from leader.perfdb import documents, schema
from leader.perfdb.entities import (
    HeldLease,
    JobFilter,
)
from leader.perfdb.mongo import MongoPerfDB, connect
from shared.errors import Conflict, NotFound, Unavailable
from shared.jobs.lifecycle import Cause, RunState, RunStatus, cancel, claim, renew, requeue, start, succeed
from shared.wire.assignment import BlobPin


async def test_preparing_twice_changes_nothing(db: MongoPerfDB) -> None:
    """Every start prepares."""
    await db.jobs.add(job())
    await db.prepare()
    assert await db.jobs.get(job_id(1)) == job()


async def test_a_newer_schema_is_refused(db: MongoPerfDB) -> None:
    """An older leader must not write into what it does not understand."""
    await db._database[schema.META].update_one({"_id": "schema"}, {"$set": {"version": schema.SCHEMA_VERSION + 1}})
    with pytest.raises(Conflict, match="newer InferBench"):
        await db.prepare()


async def test_a_job_comes_back_as_it_was(db: MongoPerfDB) -> None:
    """To the microsecond, with user data that looks like operators and paths."""
    assert await db.jobs.add(job()) == job()
    assert await db.jobs.get(job_id(1)) == job()
    assert await db.jobs.submitted("ann", "key-1") == job()
    assert await db.jobs.submitted("bob", "key-1") is None


async def test_one_owner_and_key_is_one_job(db: MongoPerfDB) -> None:
    """Of many at once exactly one is stored, and all are told the same."""
    contenders = [job(number, idempotency_key="same") for number in range(1, 9)]
    kept = await asyncio.gather(*map(db.jobs.add, contenders))
    assert len({one.id for one in kept}) == 1
    assert [one.id for one in await db.jobs.page(JobFilter(), before=None, limit=50)] == [kept[0].id]
    other = job(20, owner="bob", idempotency_key="same")
    assert (await db.jobs.add(other)).id == other.id


async def test_jobs_are_paged_newest_first_and_filtered(db: MongoPerfDB) -> None:
    """The cursor is the last id seen."""
    for number in range(1, 6):
        await db.jobs.add(job(number, team="a" if number % 2 else "b"))
    first = await db.jobs.page(JobFilter(), before=None, limit=2)
    rest = await db.jobs.page(JobFilter(), before=first[-1].id, limit=9)
    assert [one.id for one in first + rest] == [job_id(number) for number in (5, 4, 3, 2, 1)]
    assert [one.id for one in await db.jobs.page(JobFilter(team="b"), before=None, limit=9)] == [job_id(4), job_id(2)]
    assert await db.jobs.page(JobFilter(team="$ne"), before=None, limit=9) == []


async def test_incomplete_jobs_are_found_until_marked(db: MongoPerfDB) -> None:
    """That is how a crash between job and runs is repaired."""
    await db.jobs.add(job(2))
    await db.jobs.add(job(1))
    assert [one.id for one in await db.jobs.incomplete(limit=9)] == [job_id(1), job_id(2)]
    await db.jobs.mark_complete([job_id(1)])
    assert [one.id for one in await db.jobs.incomplete(limit=9)] == [job_id(2)]
    assert (await db.jobs.get(job_id(1))).complete


async def test_what_is_not_there_is_not_found(db: MongoPerfDB) -> None:
    """In every store, with a typed error."""
    for missing in (db.jobs.get("x"), db.runs.get("x"), db.records.get("x"), db.evidence.get("x", 1),
                    db.followers.get("x"), db.tokens.remove("x"), db.models.get("x", 1)):  # fmt: skip
        with pytest.raises(NotFound):
            await missing


async def test_a_run_comes_back_as_it_was(db: MongoPerfDB) -> None:
    """Through every state."""
    await db.runs.add_all(
        [run(), run(index=1, model=None, dataset=BlobPin(name="d", version=1, sha256="b", size_bytes=1))]
    )
    assert await db.runs.get(run().id) == run()
    assert (await db.runs.of_job(job_id(1)))[1].dataset is not None
    moved = await claimed(db, run())
    assert await db.runs.get(run().id) == moved
    assert moved.follower == "f1"
    assert [event.kind for event in moved.history] == ["queued", "claimed"]
    assert moved.history[1].data == NASTY


async def test_adding_runs_again_leaves_them_as_they_are(db: MongoPerfDB) -> None:
    """Also if some have moved on meanwhile."""
    await db.runs.add_all([run()])
    moved = await claimed(db, run())
    await db.runs.add_all([run(), run(index=1)])
    assert [one.status for one in await db.runs.of_job(job_id(1))] == [moved.status, RunStatus()]


async def test_a_contended_move_has_exactly_one_winner(db: MongoPerfDB) -> None:
    """Twelve followers, one run, five rounds."""
    queued = [run(index=index) for index in range(5)]
    await db.runs.add_all(queued)
    for one in queued:
        claims = [claim(one.status, lease(f"f{n}", f"slot-{one.index}"), T0) for n in range(12)]
        won = await asyncio.gather(*(db.runs.move(one, status, at=T0) for status in claims))
        winners = [moved for moved in won if moved is not None]
        assert len(winners) == 1
        assert await db.runs.get(one.id) == winners[0]


async def test_contended_steps_are_all_taken_once(db: MongoPerfDB) -> None:
    """Six workers requeue and claim one run until its fence is 60: no step is lost or doubled."""
    await db.runs.add_all([run()])

    async def work(name: str) -> int:
        steps = 0
        while (found := await db.runs.get(run().id)).status.fence < 60:
            leased = found.status.state.is_leased
            status = (
                requeue(found.status, Cause.LEASE_EXPIRED, "x", T0).model_copy(
                    update={"state": RunState.QUEUED, "failures": {}}
                )
                if leased
                else claim(found.status, lease(name, name), T0)
            )
            steps += await db.runs.move(found, status, at=T0) is not None
        return steps

    assert sum(await asyncio.gather(*(work(f"w{n}") for n in range(6)))) == 60


async def test_a_move_from_an_old_state_fence_or_lease_is_refused(db: MongoPerfDB) -> None:
    """A renewal changes neither state nor fence, and still beats who looked before it."""
    await db.runs.add_all([run()])
    first = await claimed(db, run())
    assert await db.runs.move(run(), cancel(run().status), at=T0) is None
    renewed = await db.runs.move(first, renew(first.status, T0 + timedelta(seconds=60)), at=T0)
    assert renewed is not None
    assert await db.runs.move(first, requeue(first.status, Cause.LEASE_EXPIRED, "late", T0), at=T0) is None
    gone = await db.runs.move(renewed, cancel(renewed.status), at=T0)
    assert gone is not None
    assert await db.runs.move(renewed, succeed(renewed.status), at=T0) is None


async def test_a_slot_never_holds_two_attempts(db: MongoPerfDB) -> None:
    """The database itself refuses, and takes the next one when the first is over."""
    await db.runs.add_all([run(index=0), run(index=1), run(index=2)])
    first = await claimed(db, run(index=0))
    second = run(index=1)
    with pytest.raises(Conflict, match="slot"):
        await db.runs.move(second, claim(second.status, lease(), T0), at=T0)
    assert (await db.runs.get(second.id)).status == RunStatus()
    await claimed(db, run(index=2), lease(slot="cpu-1"))
    assert await db.runs.move(first, succeed(start(first.status)), at=T0) is not None
    await claimed(db, second)


async def test_the_queue_is_in_order(db: MongoPerfDB) -> None:
    """Priority class, then shortest predicted, then oldest; claimed ones are not in it."""
    wanted = [
        run(5, priority="high", predicted_s=90.0),
        run(4, predicted_s=2.0),
        run(1, predicted_s=5.0),
        run(2, predicted_s=5.0),
        run(3, priority="low", predicted_s=1.0),
    ]
    taken = run(6, predicted_s=0.5)
    await db.runs.add_all([*sorted(wanted, key=lambda one: one.id), taken])
    await claimed(db, taken)
    assert [one.id for one in await db.runs.waiting(limit=9)] == [one.id for one in wanted]
    assert [one.id for one in await db.runs.waiting(limit=2)] == [one.id for one in wanted[:2]]


async def test_leases_are_found_all_at_once_and_by_follower(db: MongoPerfDB) -> None:
    """As they stand, of claimed and of running ones, and of no others."""
    await db.runs.add_all([run(index=index) for index in range(4)])
    old = await claimed(db, run(index=0), lease(slot="a", until=T0))
    await db.runs.move(old, start(old.status), at=T0)
    await claimed(db, run(index=1), lease(slot="b", until=T0 + timedelta(seconds=1)))
    await claimed(db, run(index=2), lease("f2", "a", until=T0 + timedelta(seconds=2)))
    assert sorted(await db.runs.leases(), key=lambda held: held.run_id) == [
        HeldLease(run_id=run(index=index).id, fence=1, expires_at=T0 + timedelta(seconds=index)) for index in range(3)
    ]
    assert {one.index for one in await db.runs.leased_to("f1")} == {0, 1}


async def test_runs_are_counted_by_job_and_state(db: MongoPerfDB) -> None:
    """Zero counts are left out; an unknown job has none."""
    await db.runs.add_all([run(1, 0), run(1, 1), run(2, 0)])
    await claimed(db, run(1, 1))
    counts = await db.runs.state_counts([job_id(1), job_id(2), job_id(3)])
    assert counts == {
        job_id(1): {RunState.QUEUED: 1, RunState.CLAIMED: 1},
        job_id(2): {RunState.QUEUED: 1},
        job_id(3): {},
    }


async def test_a_model_is_needed_while_a_run_of_it_lives(db: MongoPerfDB) -> None:
    """By name and version."""
    await db.runs.add_all([run()])
    assert await db.runs.needs_model("m", 3)
    assert not await db.runs.needs_model("m", 2)
    gone = await db.runs.move(run(), cancel(run().status), at=T0)
    assert gone is not None
    assert not await db.runs.needs_model("m", 3)


async def test_succeeded_runs_without_a_record_are_found(db: MongoPerfDB) -> None:
    """Until marked."""
    await db.runs.add_all([run()])
    held = await claimed(db, run())
    await db.runs.move(held, succeed(held.status), at=T0)
    assert [one.id for one in await db.runs.unrecorded(limit=9)] == [run().id]
    await db.runs.mark_recorded([run().id])
    assert await db.runs.unrecorded(limit=9) == []


async def test_a_dead_server_is_unavailable_and_nothing_else() -> None:
    """Whatever is asked; the driver's errors stay inside."""

    async def ask() -> None:
        perfdb, _ = connect("mongodb://127.0.0.1:9/x?serverSelectionTimeoutMS=50")
        for asked in (perfdb.ping(), perfdb.prepare(), perfdb.jobs.add(job()), perfdb.runs.get("x"),
                      perfdb.runs.move(run(), cancel(run().status), at=T0)):  # fmt: skip
            with pytest.raises(Unavailable):
                await asked
        await perfdb.close()

    await talk_to_a_dead_server(ask)


async def test_a_move_whose_answer_got_lost_is_read_back(db: MongoPerfDB, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether it happened is read from the run, and never guessed."""
    await db.runs.add_all([run(index=0), run(index=1)])
    really = db.runs._matched

    async def lost_answer(where: dict[str, Any], update: dict[str, Any]) -> bool:
        await really(where, update)
        raise Unavailable("the answer got lost")

    async def lost_question(where: dict[str, Any], update: dict[str, Any]) -> bool:
        raise Unavailable(f"never arrived: {len(where)} {len(update)}")

    monkeypatch.setattr(db.runs, "_matched", lost_answer)
    assert await db.runs.move(run(index=0), cancel(run().status), at=T0) is not None
    assert await db.runs.move(run(index=0), claim(run().status, lease(), T0), at=T0) is None
    monkeypatch.setattr(db.runs, "_matched", lost_question)
    with pytest.raises(Unavailable):
        await db.runs.move(run(index=1), cancel(run().status), at=T0)


def test_times_keep_their_microseconds() -> None:
    """Exact both ways, also far from today."""
    for at in (T0, datetime(1970, 1, 1, tzinfo=UTC), datetime(2261, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)):
        assert documents.from_us(documents.to_us(at)) == at


def test_no_number_that_json_lacks_is_stored() -> None:
    """NaN and infinity are refused, not turned into something else."""
    with pytest.raises(ValueError, match="JSON"):
        documents.to_json({"x": float("nan")})
    assert json.loads(documents.to_json(NASTY)) == NASTY
