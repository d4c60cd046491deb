"""Traces on the embedded database: uploaded beside datasets, checked line by line, pinned by digest at submit."""

import hashlib
from typing import Any

import pytest
from support.desks import Workplace, registration, stream, success

from leader.perfdb import documents, schema
from leader.perfdb.entities import RecordFilter
from shared.errors import InvalidInput, NotFound, TooLarge
from shared.wire.views import DatasetView

MORNING = b"timestamp\n0.0\n0.25\n0.25\n2.5\n"
EVENING = b'{"timestamp": 1000}\n{"timestamp": 1500}\n'
PARQUET = b"PAR1" + bytes(20) + b"PAR1"


def replay(name: str, **more: Any) -> dict[str, Any]:
    """A workload that replays a trace."""
    return {"pattern": "trace", "trace": name, "warmup": "0s", "duration": "2s", **more}


async def upload(place: Workplace, name: str, data: bytes) -> DatasetView:
    """Register and send; whatever it is."""
    sha256 = hashlib.sha256(data).hexdigest()
    view = await place.desk.datasets.register(name=name, sha256=sha256, size_bytes=len(data))
    assert (view.kind, view.state) == (None, "pending")
    return await place.desk.datasets.upload(name, view.version, stream(data))


@pytest.fixture
async def tracing(place: Workplace) -> Workplace:
    """A follower that can replay, and two traces."""
    await place.desk.followers.register(registration(patterns=("poisson", "trace")))
    await upload(place, "morning", MORNING)
    await upload(place, "evening", EVENING)
    return place


async def test_the_bytes_say_what_an_upload_is(tracing: Workplace) -> None:
    """CSV and JSON lines are traces, Parquet is a dataset; a trace tells its arrivals and its span."""
    await upload(tracing, "mine", PARQUET)
    found = {view.name: view for view in (await tracing.desk.datasets.list()).items}
    assert {name: view.kind for name, view in found.items()} == {
        "synthetic": "dataset", "morning": "trace", "evening": "trace", "mine": "dataset",
    }  # fmt: skip
    assert [(found[name].requests, found[name].span_s) for name in ("morning", "evening", "mine")] == [
        (4, 2.5), (2, 0.5), (None, None),
    ]  # fmt: skip
    stored = await tracing.desk.datasets.open("morning", 1)
    assert stored.kind == "trace"
    assert b"".join([chunk async for chunk in stored.blob.chunks]) == MORNING


async def test_a_trace_is_pinned_at_submit_and_handed_out(tracing: Workplace) -> None:
    """A newer version changes nothing for a job that was accepted; a follower gets the bytes by digest."""
    await tracing.submit(workload=replay("morning"))
    await upload(tracing, "morning", EVENING)
    given = await tracing.claimed()
    assert given.trace is not None
    assert (given.trace.name, given.trace.version, given.trace.sha256) == (
        "morning", 1, hashlib.sha256(MORNING).hexdigest(),
    )  # fmt: skip
    assert given.dataset is None
    blob = await tracing.desk.reads.blob_for_follower(given.trace.sha256)
    assert b"".join([chunk async for chunk in blob.chunks]) == MORNING


async def test_the_bytes_of_a_trace_decide_what_is_comparable(tracing: Workplace) -> None:
    """Equal bytes under two names are one task, another version of one name is another task."""
    await upload(tracing, "copy", MORNING)
    plans = [await tracing.submit(workload=replay(name)) for name in ("morning", "copy", "evening")]
    await upload(tracing, "morning", EVENING)
    plans.append(await tracing.submit(workload=replay("morning")))
    keys = [(await tracing.db.runs.of_job(job.id))[0].comparability_key for job in plans]
    assert keys[0] == keys[1] != keys[2] == keys[3]


async def test_a_record_of_a_replay_is_ranked_under_the_traces_digest(tracing: Workplace) -> None:
    """People see the name, too."""
    await tracing.submit(workload=replay("morning"))
    given = await tracing.claimed()
    await tracing.desk.queue.deliver("f1", given.run_id, success(given))
    (group,) = (await tracing.desk.reads.leaderboard("p99_ms", RecordFilter())).groups
    assert (group.task["workload"]["trace"], group.task["workload"]["sha256"]) == (
        "morning", hashlib.sha256(MORNING).hexdigest(),
    )  # fmt: skip


async def test_a_sweep_over_traces_pins_each(tracing: Workplace) -> None:
    """One run and one pin for each name."""
    job = await tracing.submit(workload=replay("morning"), sweep={"workload.trace": ["morning", "evening"]})
    runs = await tracing.db.runs.of_job(job.id)
    assert [run.trace.sha256 for run in runs if run.trace] == [
        hashlib.sha256(data).hexdigest() for data in (MORNING, EVENING)
    ]
    assert len({run.comparability_key for run in runs}) == 2
    with pytest.raises(NotFound):
        await tracing.submit(workload=replay("morning"), sweep={"workload.trace": ["morning", "night"]})


async def test_an_unknown_trace_names_the_nearest(tracing: Workplace) -> None:
    """Among traces only, and only those that are ready."""
    await upload(tracing, "mornin", PARQUET)
    await tracing.desk.datasets.register(name="mornings", sha256="0" * 64, size_bytes=1)
    with pytest.raises(NotFound) as unknown:
        await tracing.submit(workload=replay("mornng"))
    (problem,) = unknown.value.problems
    assert (problem.path, problem.found, problem.suggestion) == ("workload.trace", "mornng", "morning")
    assert "'mornng'" in unknown.value.detail


async def test_a_dataset_is_no_trace_and_a_trace_no_dataset(tracing: Workplace) -> None:
    """Said in the words of the job file, with what the name stands for."""
    await upload(tracing, "mine", PARQUET)
    with pytest.raises(InvalidInput, match="'mine' is a dataset, not a trace") as mistaken:
        await tracing.submit(workload=replay("mine"))
    assert mistaken.value.problems[0].path == "workload.trace"
    with pytest.raises(InvalidInput, match="'morning' is a trace, not a dataset") as mistaken:
        await tracing.submit(requests={"dataset": "morning"})
    assert mistaken.value.problems[0].path == "requests.dataset"


@pytest.mark.parametrize(
    ("data", "line", "message"),
    [
        (b"timestamp\n0.5\n0.25\n", 3, "earlier than the arrival before it"),
        (b"timestamp\n0.5\nnan\n", 3, "nan"),
        (b'{"timestamp": 1}\n{"timestamp": -2}\n', 2, "-2"),
        (b'{"timestamp": 1}\n{"tim', 2, "JSON syntax"),
        (b"not parquet at all", 1, "no column is known"),
        (b"PAR2" + bytes(20), 1, "no column is known"),
        (b"\xff\xfe\n", 1, "UTF-8"),
    ],
)
async def test_a_broken_trace_is_refused_with_its_line(place: Workplace, data: bytes, line: int, message: str) -> None:
    """For good: the version is refused, and says why in lists."""
    with pytest.raises(InvalidInput, match=message) as refused:
        await upload(place, "broken", data)
    assert [problem.line for problem in refused.value.problems] == [line]
    assert f"line {line}" in refused.value.detail
    (view,) = [view for view in (await place.desk.datasets.list()).items if view.name == "broken"]
    assert (view.state, view.kind, view.detail) == ("refused", None, refused.value.detail)


async def test_a_trace_that_is_too_long_is_refused(place: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before it is read as a whole."""
    monkeypatch.setattr("leader.manage.datasets.MAX_TRACE_BYTES", 10)
    with pytest.raises(TooLarge, match="10 bytes"):
        await upload(place, "long", MORNING)


async def test_a_dataset_from_before_there_were_traces_is_one(place: Workplace) -> None:
    """Its stored version has no kind."""
    await upload(place, "old", PARQUET)
    collection = place.db._database[schema.DATASETS]
    old = await place.db.datasets.get("old", 1)
    facts = {name: value for name, value in old.facts.items() if name != "kind"}
    await collection.update_one({"_id": "old@1"}, {"$set": {"facts": documents.to_json(facts)}})
    (view,) = [view for view in (await place.desk.datasets.list()).items if view.name == "old"]
    assert view.kind == "dataset"
    await place.submit(requests={"dataset": "old"})
    assert (await place.claimed()).dataset is not None
