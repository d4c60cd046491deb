"""A job's runs are a function of the job."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from leader.manage.blueprint import runs_of
from leader.perfdb.entities import Job
from shared.jobs.spec import JobSpec
from shared.scheduling.needs import Need
from shared.wire.assignment import BlobPin, ModelPin

T0 = datetime(2026, 3, 1, tzinfo=UTC)


def job(**sections: Any) -> Job:
    """A stored job of this file."""
    spec = JobSpec.model_validate(
        {
            "name": "a",
            "model": {"name": "m"},
            "workload": {"pattern": "poisson", "rate": 5.0, "warmup": "1s", "duration": "9s"},
            **sections,
        }
    )
    return Job(
        id="j-01jd3v6x8k5m2n7p9q4r1s0t3w", owner="o", team=spec.team, name=spec.name, priority=spec.priority,
        idempotency_key="k", body_sha256="0", spec=spec.model_dump(mode="json"), run_count=1,
        models=(pin(2), pin(11), pin(3)), datasets=(), created_at=T0,
    )  # fmt: skip


def pin(version: int) -> ModelPin:
    """A version of the model m."""
    return ModelPin(name="m", version=version, sha256=f"{version:064x}", size_bytes=1)


def test_the_same_job_gives_the_same_runs() -> None:
    """That is what lets anyone complete it after a crash."""
    swept = job(sweep={"service.threads": [1, 2], "workload.rate": [1.0, 2.0]}, repeats=3)
    assert runs_of(swept) == runs_of(swept)
    assert [run.id for run in runs_of(swept)] == [f"{swept.id}.{index:04d}" for index in range(12)]


def test_latest_is_the_highest_pinned_version_by_number() -> None:
    """11 is above 3."""
    (run,) = runs_of(job())
    assert run.model == pin(11)
    assert run.spec["model"]["version"] == 11


def test_a_swept_version_gets_its_own_pin_and_key() -> None:
    """Different bytes are not comparable."""
    runs = runs_of(job(model={"name": "m", "version": 2}, sweep={"model.version": [2, 3]}))
    assert [run.model for run in runs] == [pin(2), pin(3)]
    assert len({run.comparability_key for run in runs}) == 2


def test_repeats_and_servings_are_comparable_and_tasks_are_not() -> None:
    """Seeds and service settings may differ within a key; the rate may not."""
    runs = runs_of(job(repeats=2, sweep={"service.threads": [1, 2]}))
    assert len({run.comparability_key for run in runs}) == 1
    assert len({run.comparability_key for run in runs_of(job(sweep={"workload.rate": [1.0, 2.0]}))}) == 2


def test_an_uploaded_dataset_is_pinned_and_no_longer_a_need() -> None:
    """The leader serves it, so no follower must announce it."""
    dataset = BlobPin(name="mine", version=1, sha256="d" * 64, size_bytes=1)
    wanted = job(requests={"dataset": "mine"})
    (without,), (run,) = runs_of(wanted), runs_of(replace(wanted, datasets=(dataset,)))
    assert run.dataset == dataset
    assert Need("requests.dataset", "mine") in without.needs
    assert Need("requests.dataset", "mine") not in run.needs
    assert run.comparability_key != without.comparability_key


def test_a_generated_model_needs_no_pin() -> None:
    """Its spec determines it."""
    (run,) = runs_of(job(model={"generate": {"family": "fc"}}))
    assert run.model is None
    assert run.predicted_s > 10
