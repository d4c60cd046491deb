"""What the other stores of PerfDB owe, on every server that we claim to run on."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest
from support.stored_records import stored
from support.stored_runs import T0, evidence, job_id, progress, registration, run, run_id

from leader.perfdb.entities import (
    TERMINAL_EVENT_N,
    RecordFilter,
    StoredArtifact,
    Token,
)
from leader.perfdb.mongo import MongoPerfDB
from shared.jobs.lifecycle import Cause
from shared.wire.assignment import Failure, Result


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


async def test_of_registrations_under_one_name_exactly_one_wins(db: MongoPerfDB) -> None:
    """The first, a restart and a replacement alike; whoever decided on what is no longer so has to decide again."""
    rivals = [registration(incarnation=f"i-{number}") for number in range(6)]
    for _ in range(3):
        known = next(iter(await db.followers.all()), None)
        later = T0 if known is None else known.last_seen_at + timedelta(seconds=1)
        won = await asyncio.gather(*(db.followers.put(one, at=later, replacing=known) for one in rivals))
        assert won.count(True) == 1
        assert (await db.followers.get("f1")).registration == rivals[won.index(True)]


async def test_a_follower_that_was_heard_since_is_not_replaced(db: MongoPerfDB) -> None:
    """It was taken for silent, and is not."""
    await db.followers.put(registration(), at=T0)
    silent = await db.followers.get("f1")
    await db.followers.touch("f1", incarnation="i-1", at=T0 + timedelta(seconds=1))
    assert not await db.followers.put(registration(incarnation="i-2"), at=T0, replacing=silent)
    assert (await db.followers.get("f1")).registration.incarnation == "i-1"


async def test_a_follower_says_how_its_clock_stands_and_that_it_leaves(db: MongoPerfDB) -> None:
    """The last word counts; registering again is coming back."""
    await db.followers.put(registration(), at=T0, clock_offset_s=86_400.5)
    found = await db.followers.get("f1")
    assert (found.clock_offset_s, found.left) == (86_400.5, False)
    await db.followers.touch("f1", incarnation="i-1", at=T0, clock_offset_s=-0.25, left=True)
    found = await db.followers.get("f1")
    assert (found.clock_offset_s, found.left) == (-0.25, True)
    await db.followers.put(registration(incarnation="i-2"), at=T0, replacing=found)
    found = await db.followers.get("f1")
    assert (found.clock_offset_s, found.left) == (None, False)


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
