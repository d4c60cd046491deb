"""Submits on the embedded database: accepted once, completed after a crash, pinned to what existed."""

import asyncio
import hashlib
from typing import Any

import pytest
from onnx import TensorProto, helper
from support.desks import Workplace, registration, spec, stream

from leader.perfdb.entities import JobFilter, RecordFilter
from shared.errors import (
    Conflict,
    IdempotencyMismatch,
    InvalidInput,
    NotAvailable,
    NotFound,
    Unavailable,
)
from shared.jobs.lifecycle import RunState


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
    plan = await place.desk.planner.plan(spec(repeats=3, seconds=10))
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
