"""Runs: state, events as they happen, log, raw samples, record, cancel."""

from fastapi import APIRouter
from starlette.responses import StreamingResponse

from leader.api import files, sse
from leader.api.context import DeskParts, LeaderParts
from leader.api.guard import GuardedRoute
from leader.api.parameters import Attempt, LastEventId, RunId
from shared.wire.scheduling import ExplainView
from shared.wire.views import RecordView, RunView

router = APIRouter(prefix="/api/v1/runs/{run_id}", route_class=GuardedRoute, tags=["runs"])


@router.get("", name="getRun")
async def get_run(desk: DeskParts, run_id: RunId) -> RunView:
    """A run as it stands."""
    return await desk.reads.run(run_id)


@router.get("/explain", name="explainRun")
async def explain_run(desk: DeskParts, run_id: RunId) -> ExplainView:
    """Why the run stands where it stands: its rank, what it waits for, when it should start and end."""
    return await desk.explainer.explain(run_id)


@router.post("/cancel", name="cancelRun", responses={409: {}})
async def cancel_run(desk: DeskParts, run_id: RunId) -> RunView:
    """Final at once; the follower stops the attempt within seconds. 409 where the run has ended."""
    return await desk.submissions.cancel_run(run_id)


@router.get(
    "/events",
    name="streamRunEvents",
    response_class=StreamingResponse,
    responses={200: {"content": {sse.MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/EventView"}}}}},
)
async def stream_run_events(leader: LeaderParts, run_id: RunId, last_event_id: LastEventId = None) -> StreamingResponse:
    """Server-sent events from the first, or from behind Last-Event-ID, until the run's last one."""
    events = leader.desk.events
    await events.after(run_id, last_event_id)  # an unknown run is a 404, not a stream that breaks off
    followed = events.follow(run_id, last_event_id, idle_s=sse.HEARTBEAT_S)
    return StreamingResponse(
        sse.stream(followed, leader.closing), media_type=sse.MEDIA_TYPE, headers={"X-Accel-Buffering": "no"}
    )


@router.get(
    "/log", name="getRunLog", response_class=StreamingResponse, responses={200: {"content": {"text/plain": {}}}}
)
async def get_run_log(desk: DeskParts, run_id: RunId) -> StreamingResponse:
    """The log of the last attempt that left one."""
    log = await desk.reads.artifact(run_id, "log")
    return files.file_response(log, media_type=files.TEXT, filename=f"{run_id}.log")


@router.get(
    "/samples",
    name="getRunSamples",
    response_class=StreamingResponse,
    responses={200: {"content": {files.PARQUET: {}}}},
)
async def get_run_samples(desk: DeskParts, run_id: RunId, attempt: Attempt = None) -> StreamingResponse:
    """Every request of the run as a row of a Parquet file; of a failed attempt, too, as far as it left them."""
    samples = await desk.reads.artifact(run_id, "samples", attempt=attempt)
    return files.file_response(samples, media_type=files.PARQUET, filename=f"{run_id}.parquet")


@router.get("/record", name="getRunRecord")
async def get_run_record(desk: DeskParts, run_id: RunId) -> RecordView:
    """What the run measured."""
    return await desk.reads.record(run_id)
