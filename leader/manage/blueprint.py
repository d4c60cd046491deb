"""A job's runs, computed from the job alone: the same job always gives the same runs. Pure.

That is what makes a submit safe: once the job is stored, anyone can complete its runs. The same holds for the probes
of a search: the rate of each is stored in the job before its run is.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from leader.manage.story import queued_event, reused_event
from leader.perfdb.entities import Job, Origin, Run, Search, SearchProbe
from model_repo.identity import model_digest
from shared.jobs import ids
from shared.jobs.keys import comparability_key
from shared.jobs.lifecycle import RunState, RunStatus
from shared.jobs.spec import JobSpec, NamedModel, RunSpec
from shared.jobs.sweep import ExpandedRun, expand, probe_spec
from shared.jobs.workload import SteadyWorkload, TraceWorkload
from shared.scheduling.estimate import predict
from shared.scheduling.needs import needs_of
from shared.scheduling.setup_times import SetupTimes, served_of
from shared.wire.assignment import BlobPin, ModelPin


@dataclass(frozen=True)
class _Times:
    """What all runs of a job share about when they should run, and for how long."""

    learnt: SetupTimes
    deadline_at: datetime | None


def runs_of(job: Job, learnt: SetupTimes | None = None) -> list[Run]:
    """All runs of a job that are decided on, queued, in order; ``learnt`` only tells how long they will take."""
    given = JobSpec.model_validate(job.spec)
    return runs_from(job, given, expand(given), learnt)


def runs_from(job: Job, given: JobSpec, expanded: Sequence[ExpandedRun], learnt: SetupTimes | None = None) -> list[Run]:
    """As ``runs_of``, for whoever has read and expanded the job's file already."""
    within = None if given.deadline is None else timedelta(microseconds=given.deadline // 1000)
    times = _Times(learnt or SetupTimes(), None if within is None else job.created_at + within)
    first = [_run(job, run, job.created_at, times) for run in expanded]
    first = [reused(run, job.reused[run.index]) if run.index in job.reused else run for run in first]
    return first + sorted(_later_probes(job, expanded, times), key=lambda run: run.index)


def reused(run: Run, origin: Origin) -> Run:
    """The run, ended before it was queued: its record is the origin's, which is told, and nothing was run."""
    return replace(
        run,
        status=RunStatus(state=RunState.SUCCEEDED),
        history=(reused_event(run.id, origin, run.created_at),),
        recorded=True,
        reused_from=origin,
    )


def searches_of(runs: Sequence[ExpandedRun], now: datetime) -> tuple[Search, ...]:
    """The searches that a job begins with its first runs."""
    return tuple(
        Search(point=run.index, probes=(SearchProbe(rate_rps=_rate(run.spec), decided_at=now),))
        for run in runs
        if run.search
    )


def probe_run_id(job: Job, search: Search, probe: int) -> str:
    """The id of the run of a search's probe, counted from 0."""
    later = sum(len(each.probes) - 1 for each in job.searches)
    return ids.run_id(job.id, probe * (job.run_count - later) + search.point)


def _rate(spec: RunSpec) -> float:
    return spec.workload.rate if isinstance(spec.workload, SteadyWorkload) else 0.0


def _later_probes(job: Job, expanded: Sequence[ExpandedRun], times: _Times) -> Iterator[Run]:
    for search in job.searches:
        first = expanded[search.point]
        if first.search is None:
            continue
        for number, probe in enumerate(search.probes[1:], 1):
            spec = probe_spec(first.spec, first.search, probe.rate_rps)
            index = number * len(expanded) + search.point
            yield _run(job, replace(first, index=index, spec=spec), probe.decided_at, times)


def _run(job: Job, expanded: ExpandedRun, at: datetime, times: _Times) -> Run:
    model = model_pin(expanded.spec, job.models)
    dataset = dataset_pin(expanded.spec, job.datasets)
    trace = trace_pin(expanded.spec, job.datasets)
    spec = pinned(expanded.spec, model)
    run_id = ids.run_id(job.id, expanded.index)
    predicted = predict(spec, times.learnt)
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
        predicted_s=predicted.p50_s,
        predicted_p90_s=predicted.p90_s,
        served=served_of(spec),
        deadline_at=times.deadline_at,
        comparability_key=comparability_key(
            spec, model_digest(spec, digest_of(model)), digest_of(dataset), digest_of(trace)
        ),
        model=model,
        dataset=dataset,
        trace=trace,
        status=RunStatus(),
        history=(queued_event(run_id, at),),
        created_at=at,
        updated_at=at,
    )


def digest_of(pin: BlobPin | None) -> str | None:
    """The digest of what is pinned, if anything is."""
    return pin.sha256 if pin else None


def model_pin(spec: RunSpec, pins: Sequence[ModelPin]) -> ModelPin | None:
    """The pin of the run's model; of ``latest`` it is the newest of that name, since nothing newer was pinned."""
    if not isinstance(spec.model, NamedModel) or spec.service.platform == "endpoint":
        return None
    named = [pin for pin in pins if pin.name == spec.model.name]
    if spec.model.version == "latest":
        return max(named, key=lambda pin: pin.version)
    return next(pin for pin in named if pin.version == spec.model.version)


def dataset_pin(spec: RunSpec, pins: Sequence[BlobPin]) -> BlobPin | None:
    """The pin of the run's dataset; None for one that followers have built in."""
    return next((pin for pin in pins if pin.name == spec.requests.dataset), None)


def trace_pin(spec: RunSpec, pins: Sequence[BlobPin]) -> BlobPin | None:
    """The pin of the trace that the run replays, if it replays one."""
    if not isinstance(spec.workload, TraceWorkload):
        return None
    return next((pin for pin in pins if pin.name == spec.workload.trace), None)


def pinned(spec: RunSpec, pin: ModelPin | None) -> RunSpec:
    """The spec with the model's version as a number."""
    if pin is None or not isinstance(spec.model, NamedModel):
        return spec
    return spec.model_copy(update={"model": spec.model.model_copy(update={"version": pin.version})})
