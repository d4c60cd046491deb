"""What is stored, as the API shows it. Pure."""

from datetime import datetime, timedelta

from leader.perfdb.entities import Counts, Event, Follower, Job, Run
from model_repo.protocol import VersionedBlob
from shared.jobs.lifecycle import RunState
from shared.jobs.state import job_state
from shared.wire.views import DatasetView, EventView, FollowerView, JobView, RunView

API = "/api/v1"


def job_view(job: Job, counts: Counts, runs: tuple[RunView, ...] = ()) -> JobView:
    """A job with its runs counted; runs that are not stored yet are as good as queued."""
    states = dict(counts)
    missing = job.run_count - sum(states.values())
    if missing > 0:
        states[RunState.QUEUED] = states.get(RunState.QUEUED, 0) + missing
    path = f"{API}/jobs/{job.id}"
    return JobView(
        id=job.id,
        name=job.name,
        team=job.team,
        owner=job.owner,
        priority=job.priority,
        state=job_state(states),
        run_count=job.run_count,
        run_states=states,
        created_at=job.created_at,
        spec=job.spec,
        runs=runs,
        links={"self": path, "cancel": f"{path}/cancel", "records": f"{API}/records?job_id={job.id}"},
    )


def counts_of(runs: list[Run]) -> Counts:
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
        predicted_s=run.predicted_s,
        created_at=run.created_at,
        updated_at=run.updated_at,
        spec=run.spec,
        links=_run_links(run),
    )


def _run_links(run: Run) -> dict[str, str]:
    path = f"{API}/runs/{run.id}"
    links = {"self": path, "job": f"{API}/jobs/{run.job_id}", "events": f"{path}/events", "log": f"{path}/log"}
    if run.status.state is RunState.SUCCEEDED:
        return {**links, "record": f"{path}/record", "samples": f"{path}/samples"}
    return links if run.status.state.is_terminal else {**links, "cancel": f"{path}/cancel"}


def event_view(event: Event) -> EventView:
    """An event with its id."""
    return EventView(
        id=event.id, run_id=event.run_id, at=event.at, kind=event.kind, message=event.message, data=event.data
    )


def is_alive(follower: Follower, now: datetime, lease: timedelta) -> bool:
    """Heard of within the lease."""
    return now - follower.last_seen_at <= lease


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
    )


def dataset_view(version: VersionedBlob) -> DatasetView:
    """An uploaded dataset."""
    return DatasetView(
        name=version.name,
        version=version.version,
        builtin=False,
        sha256=version.sha256,
        size_bytes=version.size_bytes,
        description=str(version.facts.get("description", "")),
    )


def builtin_dataset_view(name: str) -> DatasetView:
    """One that followers have built in."""
    return DatasetView(name=name, version=1, builtin=True)
