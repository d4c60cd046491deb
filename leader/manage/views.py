"""What is stored, as the API shows it. Pure."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from leader.manage.blueprint import probe_run_id
from leader.manage.probes import excused, is_cut_off
from leader.perfdb.entities import Counts, Event, Follower, Job, Origin, Run, Search
from model_repo.protocol import VersionedBlob
from shared.jobs.lifecycle import RunState
from shared.jobs.state import JobState, job_state
from shared.wire.views import (
    DatasetKind,
    DatasetView,
    EventView,
    FollowerView,
    JobView,
    OriginView,
    ProbeView,
    RunView,
    SearchView,
)

API = "/api/v1"


def job_view(job: Job, counts: Counts, runs: tuple[RunView, ...] = ()) -> JobView:
    """A job with its runs counted; runs that are not stored yet are as good as queued. Searches come with the runs."""
    states = dict(counts)
    missing = job.run_count - sum(states.values())
    if missing > 0:
        states[RunState.QUEUED] = states.get(RunState.QUEUED, 0) + missing
    path = f"{API}/jobs/{job.id}"
    first = {run.index: run for run in runs}
    return JobView(
        id=job.id,
        name=job.name,
        team=job.team,
        owner=job.owner,
        priority=job.priority,
        state=_state(job, states),
        run_count=job.run_count,
        run_states=states,
        created_at=job.created_at,
        spec=job.spec,
        runs=runs,
        searches=tuple(
            search_view(job, search, first[search.point]) for search in job.searches if search.point in first
        ),
        links={"self": path, "cancel": f"{path}/cancel", "records": f"{API}/records?job_id={job.id}"},
    )


def full_job_view(job: Job, runs: Sequence[Run]) -> JobView:
    """A job with all its runs."""
    return job_view(job, counts_of(runs), tuple(map(run_view, runs)))


def _state(job: Job, states: Counts) -> JobState:
    """A job that searches has not ended, even where no run is left at the moment."""
    told = job_state({state: count - excused(job).get(state, 0) for state, count in states.items()})
    if told in ("queued", "running"):
        return told
    if job.searching:
        return "running"
    return "cancelled" if any(is_cut_off(job, search) for search in job.searches) else told


def search_view(job: Job, search: Search, first: RunView) -> SearchView:
    """A search as it stands; ``first`` is the run of its first probe."""
    probes = tuple(
        ProbeView(
            run_id=probe_run_id(job, search, number),
            rate_rps=probe.rate_rps,
            outcome=probe.judged.outcome if probe.judged else None,
            leans=probe.judged.leans if probe.judged else None,
            reason=probe.judged.reason if probe.judged else "",
        )
        for number, probe in enumerate(search.probes)
    )
    view = SearchView(repeat=first.repeat, point=first.point, state="searching", probes=probes)
    end = search.end
    if is_cut_off(job, search):
        view = view.model_copy(update={"state": "cancelled"})
    elif end:
        view = view.model_copy(update={"state": "not-found" if end.rate_rps is None else "found"})
    if end is None:
        return view
    bracket = {"rate_rps": end.rate_rps, "low_rps": end.low_rps, "high_rps": end.high_rps}
    return view.model_copy(update={**bracket, "reason": end.reason})


def counts_of(runs: Sequence[Run]) -> Counts:
    """How many runs are in each state."""
    counts: Counts = {}
    for run in runs:
        counts[run.status.state] = counts.get(run.status.state, 0) + 1
    return counts


def run_view(run: Run) -> RunView:
    """A run as it stands."""
    status = run.status
    return RunView(
        id=run.id,
        job_id=run.job_id,
        index=run.index,
        repeat=run.repeat,
        point=run.point,
        state=status.state,
        attempt=status.attempt,
        fence=status.fence,
        follower=run.follower,
        cause=status.cause,
        detail=status.detail,
        log_tail=status.log_tail,
        no_record=run.no_record,
        predicted_s=run.predicted_s,
        predicted_p90_s=run.predicted_p90_s,
        reused_from=origin_view(run.reused_from),
        created_at=run.created_at,
        updated_at=run.updated_at,
        spec=run.spec,
        links=_run_links(run),
    )


def origin_view(origin: Origin | None) -> OriginView | None:
    """Where the numbers of a run come from that was not run."""
    if origin is None:
        return None
    return OriginView(run_id=origin.run_id, follower=origin.follower, measured_at=origin.measured_at)


def _run_links(run: Run) -> dict[str, str]:
    path = f"{API}/runs/{run.id}"
    if run.reused_from is not None:
        links = {
            "self": path,
            "job": f"{API}/jobs/{run.job_id}",
            "events": f"{path}/events",
            "record": f"{path}/record",
        }
        return {**links, "origin": f"{API}/runs/{run.reused_from.run_id}"}
    links = {"self": path, "job": f"{API}/jobs/{run.job_id}", "events": f"{path}/events", "log": f"{path}/log"}
    if run.status.state.has_record and run.no_record is None:
        return {**links, "record": f"{path}/record", "samples": f"{path}/samples"}
    return links if run.status.state.is_terminal else {**links, "cancel": f"{path}/cancel"}


def event_view(event: Event) -> EventView:
    """An event with its id."""
    return EventView(
        id=event.id, run_id=event.run_id, at=event.at, kind=event.kind, message=event.message, data=event.data
    )


def is_alive(follower: Follower, now: datetime, lease: timedelta) -> bool:
    """Heard of within the lease, and not gone."""
    return not follower.left and now - follower.last_seen_at <= lease


def follower_view(follower: Follower, running: tuple[str, ...], *, alive: bool) -> FollowerView:
    """A follower and the runs that it holds."""
    registration = follower.registration
    return FollowerView(
        name=registration.name,
        alive=alive,
        last_seen_at=follower.last_seen_at,
        version=registration.version,
        inventory=registration.inventory,
        capabilities=registration.capabilities,
        slots=registration.slots,
        running=running,
        cordoned=follower.cordoned,
        stopped=follower.left,
        clock_offset_s=follower.clock_offset_s,
    )


def dataset_view(version: VersionedBlob) -> DatasetView:
    """An uploaded dataset or trace."""
    facts = version.facts
    return DatasetView(
        name=version.name,
        version=version.version,
        builtin=False,
        kind=kind_of(version),
        state=version.state,
        detail=version.detail,
        sha256=version.sha256,
        size_bytes=version.size_bytes,
        description=str(facts.get("description", "")),
        requests=facts.get("requests"),
        span_s=facts.get("span_s"),
    )


def kind_of(version: VersionedBlob) -> DatasetKind | None:
    """What a ready version is; None before its bytes were looked at. Before there were traces, all were datasets."""
    if version.state != "ready":
        return None
    return "trace" if version.facts.get("kind") == "trace" else "dataset"


def builtin_dataset_view(name: str) -> DatasetView:
    """One that followers have built in."""
    return DatasetView(name=name, version=1, builtin=True, kind="dataset", state="ready")
