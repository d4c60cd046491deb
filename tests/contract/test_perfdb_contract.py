"""What every store of PerfDB owes, on every server that we claim to run on."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from support.mongo_servers import MongoServer, running_mongo, server_names, talk_to_a_dead_server
from support.stored_records import START, record, stored

from leader.perfdb import documents, schema
from leader.perfdb.entities import (
    TERMINAL_EVENT_N,
    Event,
    Evidence,
    Job,
    JobFilter,
    RecordFilter,
    Run,
    StoredArtifact,
    Token,
)
from leader.perfdb.mongo import MongoPerfDB, connect
from shared.errors import Conflict, NotFound, Unavailable
from shared.jobs import ids
from shared.jobs.lifecycle import Cause, Lease, RunState, RunStatus, cancel, claim, renew, requeue, start, succeed
from shared.scheduling.needs import Need
from shared.wire.assignment import BlobPin, Failure, ModelPin, Result, Success
from shared.wire.identity import Capabilities, Inventory, Registration, Slot

T0 = datetime(2026, 3, 1, 12, 0, 0, 123_457, tzinfo=UTC)
NASTY: dict[str, Any] = {
    "$ne": None,
    "a.b.c": {"$gt": ""},
    "": "$where",
    "service.batching.max_batch_size": 8,
    "é\"'": 0.1,
}
"""User data that would be an operator, a path or broken storage, if it were ever taken for more than data."""


@pytest.fixture(scope="module", params=server_names())
def server(request: pytest.FixtureRequest) -> Iterator[MongoServer]:
    """The server under test, one for all tests of this file."""
    with running_mongo(request.param) as running:
        yield running


@pytest.fixture
async def db(server: MongoServer) -> AsyncIterator[MongoPerfDB]:
    """An empty, prepared PerfDB on it."""
    perfdb, _ = connect(server.fresh_url())
    await perfdb.prepare()
    yield perfdb
    await perfdb.close()


def job(number: int = 1, **changes: Any) -> Job:
    """A job with every field filled."""
    fields: dict[str, Any] = {
        "id": job_id(number),
        "owner": "ann",
        "team": "vision",
        "name": "a-job",
        "priority": "normal",
        "idempotency_key": f"key-{number}",
        "body_sha256": "0" * 64,
        "spec": NASTY,
        "run_count": 1,
        "models": (ModelPin(name="m", version=3, sha256="a" * 64, size_bytes=5, card=NASTY),),
        "datasets": (BlobPin(name="d", version=1, sha256="b" * 64, size_bytes=6),),
        "created_at": T0,
    }
    return Job(**{**fields, **changes})


def job_id(number: int) -> str:
    """Ids in the order of their numbers."""
    return ids.new_job_id(START + timedelta(milliseconds=number), bytes(10))


def run(number: int = 1, index: int = 0, **changes: Any) -> Run:
    """A queued run with every field filled."""
    fields: dict[str, Any] = {
        "id": ids.run_id(job_id(number), index),
        "job_id": job_id(number),
        "name": "a-job",
        "team": "vision",
        "owner": "ann",
        "index": index,
        "repeat": 0,
        "point": NASTY,
        "spec": {"deep": [NASTY]},
        "needs": (Need("service.platform", "onnxruntime"),),
        "predicted_s": 12.5,
        "comparability_key": "c" * 64,
        "model": ModelPin(name="m", version=3, sha256="a" * 64, size_bytes=5, card=NASTY),
        "history": (Event(run_id=ids.run_id(job_id(number), index), fence=0, n=0, at=T0, kind="queued", message="$x"),),
        "created_at": T0,
        "updated_at": T0,
    }
    return Run(**{**fields, **changes})


def lease(follower: str = "f1", slot: str = "cpu-0", *, until: datetime = T0 + timedelta(seconds=15)) -> Lease:
    """A lease on a slot."""
    return Lease(follower=follower, incarnation="i-1", slot=slot, expires_at=until)


def told(moved: Run, status: RunStatus, kind: str) -> Event:
    """The event of a move."""
    return Event(run_id=moved.id, fence=status.fence, n=0, at=T0, kind=kind, message=kind, data=NASTY)


async def claimed(db: MongoPerfDB, queued: Run, holder: Lease | None = None) -> Run:
    """The run after a follower won it."""
    status = claim(queued.status, holder or lease())
    moved = await db.runs.move(queued, status, at=T0, event=told(queued, status, "claimed"))
    assert moved is not None
    return moved


# --- schema


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


# --- jobs


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


# --- runs


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
        claims = [claim(one.status, lease(f"f{n}", f"slot-{one.index}")) for n in range(12)]
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
                requeue(found.status, Cause.LEASE_EXPIRED, "x").model_copy(
                    update={"state": RunState.QUEUED, "infrastructure_failures": 0}
                )
                if leased
                else claim(found.status, lease(name, name))
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
    assert await db.runs.move(first, requeue(first.status, Cause.LEASE_EXPIRED, "late"), at=T0) is None
    gone = await db.runs.move(renewed, cancel(renewed.status), at=T0)
    assert gone is not None
    assert await db.runs.move(renewed, succeed(renewed.status), at=T0) is None


async def test_a_slot_never_holds_two_attempts(db: MongoPerfDB) -> None:
    """The database itself refuses, and takes the next one when the first is over."""
    await db.runs.add_all([run(index=0), run(index=1), run(index=2)])
    first = await claimed(db, run(index=0))
    second = run(index=1)
    with pytest.raises(Conflict, match="slot"):
        await db.runs.move(second, claim(second.status, lease()), at=T0)
    assert (await db.runs.get(second.id)).status == RunStatus()
    await claimed(db, run(index=2), lease(slot="cpu-1"))
    assert await db.runs.move(first, succeed(start(first.status)), at=T0) is not None
    await claimed(db, second)


async def test_the_queue_is_in_order_and_read_in_pages(db: MongoPerfDB) -> None:
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
    seen: list[str] = []
    after: Run | None = None
    while page := await db.runs.queued(after=after, limit=2):
        seen += [one.id for one in page]
        after = page[-1]
    assert seen == [one.id for one in wanted]


async def test_leases_are_found_by_follower_and_by_age(db: MongoPerfDB) -> None:
    """Expired ones strictly before the limit, both claimed and running."""
    await db.runs.add_all([run(index=index) for index in range(3)])
    old = await claimed(db, run(index=0), lease(slot="a", until=T0))
    await db.runs.move(old, start(old.status), at=T0)
    await claimed(db, run(index=1), lease(slot="b", until=T0 + timedelta(seconds=1)))
    await claimed(db, run(index=2), lease("f2", "a", until=T0 + timedelta(seconds=2)))
    expired = await db.runs.expired(before=T0 + timedelta(seconds=2), limit=9)
    assert {one.index for one in expired} == {0, 1}
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
    await db.runs.mark_recorded(run().id)
    assert await db.runs.unrecorded(limit=9) == []


# --- events, evidence


def progress(fence: int, n: int, message: str = "m") -> Event:
    """A follower's event."""
    return Event(run_id=run().id, fence=fence, n=n, at=T0, kind="measuring", message=message, data=NASTY)


async def test_events_are_kept_once_and_read_in_order(db: MongoPerfDB) -> None:
    """By (fence, n); the first of a number stays; reading goes on behind a position."""
    await db.events.append([progress(1, 2), progress(1, 1)])
    await db.events.append([progress(1, 2, "again"), progress(2, 1), progress(1, TERMINAL_EVENT_N - 1)])
    await db.events.append([])
    found = await db.events.after(run().id, (0, -1), limit=99)
    assert [event.position for event in found] == [(1, 1), (1, 2), (1, TERMINAL_EVENT_N - 1), (2, 1)]
    assert found[1] == progress(1, 2)
    assert [event.position for event in await db.events.after(run().id, (1, 1), limit=1)] == [(1, 2)]
    assert await db.events.after("other", (0, -1), limit=9) == []


def evidence(sha256: str = "1" * 64) -> Evidence:
    """What a first attempt delivered."""
    result = Result(incarnation="i-1", attempt=1, fence=1, outcome=Success(record=record(run().id)))
    return Evidence(run_id=run().id, attempt=1, fence=1, follower="f1", sha256=sha256, result=result, received_at=T0)


async def test_an_attempt_delivers_once(db: MongoPerfDB) -> None:
    """What came first stays, and whoever comes second is shown it."""
    assert await db.evidence.add(evidence()) == evidence()
    assert await db.evidence.add(evidence("2" * 64)) == evidence()
    assert await db.evidence.get(run().id, 1) == evidence()
    failure = replace(
        evidence(), attempt=2, result=Result(incarnation="i", attempt=2, fence=2,
                                             outcome=Failure(cause=Cause.SERVER_DIED, detail="$x", log_tail="\x1b[0m")),
    )  # fmt: skip
    await db.evidence.add(failure)
    assert await db.evidence.get(run().id, 2) == failure


async def test_artifacts_are_listed_by_attempt(db: MongoPerfDB) -> None:
    """One of each kind, the last one sent."""
    log = StoredArtifact(run_id=run().id, attempt=1, kind="log", sha256="1", size_bytes=1)
    samples = replace(log, kind="samples")
    newer = replace(log, sha256="2")
    for artifact in (log, samples, newer, replace(log, attempt=2)):
        await db.evidence.add_artifact(artifact)
    found = await db.evidence.artifacts(run().id, 1)
    assert sorted(found, key=lambda one: one.kind) == [newer, samples]


# --- records


def run_id(number: int) -> str:
    """The first run of a job."""
    return ids.run_id(job_id(number), 0)


async def test_a_record_comes_back_as_it_was_and_may_be_put_again(db: MongoPerfDB) -> None:
    """The count of its group does not grow by repeating."""
    await db.records.put(stored(run_id(1)))
    await db.records.put(stored(run_id(1)))
    await db.records.put(stored(run_id(2), verdict="invalid"))
    await db.records.put(stored(run_id(3), key="only-invalid", verdict="invalid"))
    assert [task.comparability_key for task in await db.records.tasks(RecordFilter(), limit=9)] == ["k"]
    assert await db.records.get(run_id(1)) == stored(run_id(1)).record
    task = await db.records.task("k")
    assert task == replace(stored(run_id(1)).task, record_count=1)


async def test_records_are_paged_newest_first_and_filtered(db: MongoPerfDB) -> None:
    """By job, model, platform and team, together."""
    for number in range(1, 5):
        await db.records.put(stored(run_id(number), team="a" if number % 2 else "b", model=f"m{number // 3}"))
    everything = await db.records.page(RecordFilter(), before=None, limit=9)
    assert [one.run_id for one in everything] == [run_id(number) for number in (4, 3, 2, 1)]
    rest = await db.records.page(RecordFilter(), before=run_id(3), limit=1)
    assert [one.run_id for one in rest] == [run_id(2)]
    both = await db.records.page(RecordFilter(team="a", model="m0", platform="onnxruntime"), before=None, limit=9)
    assert [one.run_id for one in both] == [run_id(1)]
    assert [r.run_id for r in await db.records.page(RecordFilter(job_id=job_id(4)), before=None, limit=9)] == [
        run_id(4)
    ]


@pytest.mark.parametrize(("metric", "best_first"), [("p99_ms", [2, 1, 3]), ("throughput_rps", [3, 2, 1])])
async def test_the_best_of_a_group_come_first(db: MongoPerfDB, metric: str, best_first: list[int]) -> None:
    """Lower or higher is better as the metric says; without a number last; invalid ones not at all."""
    values: dict[int, dict[str, float | None]] = {
        1: {"p99_ms": 20.0, "throughput_rps": None},
        2: {"p99_ms": 5.5, "throughput_rps": 1.0},
        3: {"p99_ms": None, "throughput_rps": 2.0},
    }
    for number, metrics in values.items():
        one = stored(run_id(number))
        await db.records.put(replace(one, entry=replace(one.entry, metrics={**one.entry.metrics, **metrics})))
    await db.records.put(stored(run_id(4), p99_ms=0.1, verdict="invalid"))
    await db.records.put(stored(run_id(5), key="other"))
    best = await db.records.best("k", metric, RecordFilter(), limit=9)
    assert [entry.run_id for entry in best] == [run_id(number) for number in best_first]
    assert [entry.metrics[metric] for entry in best] == [values[number][metric] for number in best_first]
    assert len(await db.records.best("k", metric, RecordFilter(), limit=2)) == 2
    assert await db.records.best("k", metric, RecordFilter(team="$gt"), limit=9) == []


async def test_tasks_are_listed_by_what_was_measured_last(db: MongoPerfDB) -> None:
    """With a filter, only those that hold a record which fits it."""
    for number, (key, team) in enumerate([("k1", "a"), ("k2", "b"), ("k1", "b")], start=1):
        await db.records.put(stored(run_id(number), key=key, team=team, created_at=T0 + timedelta(seconds=number)))
    listed = await db.records.tasks(RecordFilter(), limit=9)
    assert [(task.comparability_key, task.record_count) for task in listed] == [("k1", 2), ("k2", 1)]
    assert [task.comparability_key for task in await db.records.tasks(RecordFilter(team="a"), limit=9)] == ["k1"]
    assert await db.records.tasks(RecordFilter(team="c"), limit=9) == []
    assert await db.records.task("nothing") is None


# --- followers, tokens


def registration(name: str = "f1", incarnation: str = "i-1") -> Registration:
    """A follower with strange labels."""
    return Registration(
        name=name,
        incarnation=incarnation,
        version="1",
        inventory=Inventory(hostname="h", cpu_model="c", logical_cores=2, physical_cores=None, memory_bytes=1,
                            kernel="k", os="o", governor=None, versions={"a.b": "$1"}),
        capabilities=Capabilities(platforms=(), patterns=(), networks=(), pipeline_sides=(), ops=(),
                                  model_families=(), datasets=(), labels={"zone.$x": "$ne", "": ""}),
        slots=(Slot(name="cpu-0", device="cpu", server_cores=(0,), client_cores=(1,)),),
    )  # fmt: skip


async def test_a_follower_is_remembered_and_heard(db: MongoPerfDB) -> None:
    """Only its present incarnation counts as it."""
    await db.followers.put(registration("f2"), at=T0)
    await db.followers.put(registration(), at=T0)
    assert (await db.followers.get("f1")).registration == registration()
    later = T0 + timedelta(seconds=5)
    assert await db.followers.touch("f1", incarnation="i-1", at=later, busy_slots=["cpu-0"])
    assert not await db.followers.touch("f1", incarnation="i-0", at=later)
    assert not await db.followers.touch("f9", incarnation="i-1", at=later)
    found = await db.followers.all()
    assert [(one.registration.name, one.last_seen_at, one.busy_slots) for one in found] == [
        ("f1", later, ("cpu-0",)),
        ("f2", T0, ()),
    ]


async def test_a_token_is_found_by_its_digest_only(db: MongoPerfDB) -> None:
    """A name has one token; removing it ends it."""
    token = Token(sha256="1" * 64, name="ann", role="admin", created_at=T0)
    await db.tokens.add(replace(token, sha256="0" * 64))
    await db.tokens.add(token)
    assert await db.tokens.find("1" * 64) == token
    assert await db.tokens.find("0" * 64) is None
    assert await db.tokens.all() == [token]
    await db.tokens.remove("ann")
    assert await db.tokens.find("1" * 64) is None


# --- outages


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
    assert await db.runs.move(run(index=0), claim(run().status, lease()), at=T0) is None
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
