"""A job's runs, computed from the job alone: the same job always gives the same runs. Pure.

That is what makes a submit safe: once the job is stored, anyone can complete its runs.
"""

from collections.abc import Sequence

from leader.manage.story import queued_event
from leader.perfdb.entities import Job, Run
from model_repo.identity import model_digest
from shared.jobs import ids
from shared.jobs.keys import comparability_key
from shared.jobs.lifecycle import RunStatus
from shared.jobs.spec import JobSpec, NamedModel, RunSpec
from shared.jobs.sweep import ExpandedRun, expand
from shared.scheduling.estimate import predicted_s
from shared.scheduling.needs import needs_of
from shared.wire.assignment import BlobPin, ModelPin


def runs_of(job: Job) -> list[Run]:
    """All runs of a job, queued, in order."""
    return [_run(job, expanded) for expanded in expand(JobSpec.model_validate(job.spec))]


def _run(job: Job, expanded: ExpandedRun) -> Run:
    model = model_pin(expanded.spec, job.models)
    dataset = dataset_pin(expanded.spec, job.datasets)
    spec = pinned(expanded.spec, model)
    run_id = ids.run_id(job.id, expanded.index)
    return Run(
        id=run_id,
        job_id=job.id,
        name=job.name,
        team=job.team,
        owner=job.owner,
        priority=job.priority,
        index=expanded.index,
        repeat=expanded.repeat,
        point=dict(expanded.point),
        spec=spec.model_dump(mode="json"),
        needs=needs_of(spec, {pin.name for pin in job.datasets}),
        predicted_s=predicted_s(spec),
        comparability_key=comparability_key(spec, model_digest(spec, digest_of(model)), digest_of(dataset)),
        model=model,
        dataset=dataset,
        status=RunStatus(),
        history=(queued_event(run_id, job.created_at),),
        created_at=job.created_at,
        updated_at=job.created_at,
    )


def digest_of(pin: BlobPin | None) -> str | None:
    """The digest of what is pinned, if anything is."""
    return pin.sha256 if pin else None


def model_pin(spec: RunSpec, pins: Sequence[ModelPin]) -> ModelPin | None:
    """The pin of the run's model; of ``latest`` it is the newest of that name, since nothing newer was pinned."""
    if not isinstance(spec.model, NamedModel):
        return None
    named = [pin for pin in pins if pin.name == spec.model.name]
    if spec.model.version == "latest":
        return max(named, key=lambda pin: pin.version)
    return next(pin for pin in named if pin.version == spec.model.version)


def dataset_pin(spec: RunSpec, pins: Sequence[BlobPin]) -> BlobPin | None:
    """The pin of the run's dataset; None for one that followers have built in."""
    return next((pin for pin in pins if pin.name == spec.requests.dataset), None)


def pinned(spec: RunSpec, pin: ModelPin | None) -> RunSpec:
    """The spec with the model's version as a number."""
    if pin is None or not isinstance(spec.model, NamedModel):
        return spec
    return spec.model_copy(update={"model": spec.model.model_copy(update={"version": pin.version})})
