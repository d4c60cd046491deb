"""The process itself: alive, ready, measured, described."""

import asyncio
from datetime import datetime
from importlib.metadata import version
from typing import Any, Final

from fastapi import APIRouter, Request, Response

from leader.api import scrape
from leader.api.context import Leader, LeaderParts
from leader.api.guard import GuardedRoute
from leader.api.shapes import HealthView, ReadinessView, VersionView
from leader.manage.cursor import OVERLAP
from leader.metrics import CONTENT_TYPE
from shared.errors import Unavailable
from shared.jobs.schema import job_json_schema

MOST_SKEW: Final = OVERLAP / 2
"""Two leaders that are off by so much from the database, either way, still announce each other's work."""

_PING_WITHIN_S: Final = 2.0
_OK: Final = "ok"
_VERSION: Final = version("inferbench")  # read from disk, so only once

router = APIRouter(route_class=GuardedRoute, tags=["process"])


@router.get("/healthz", name="getHealth")
async def get_health() -> HealthView:
    """Whether the process answers."""
    return HealthView()


@router.get("/readyz", name="getReadiness", responses={503: {"model": ReadinessView}})
async def get_readiness(leader: LeaderParts, response: Response) -> ReadinessView:
    """Whether requests can be served: the database answers and agrees on the time, the background loops live."""
    unsettled = leader.background.unsettled()
    checks = await _store(leader)
    checks |= {f"loop {name}": unsettled.get(name, _OK) for name in leader.background.health}
    ready = all(state == _OK for state in checks.values())
    response.status_code = 200 if ready else 503
    return ReadinessView(status="ready" if ready else "not ready", checks=checks)


async def _store(leader: Leader) -> dict[str, str]:
    asked_at = leader.clock.utc_now()
    try:
        async with asyncio.timeout(_PING_WITHIN_S):
            told_at = await leader.desk.perfdb.ping()
    except (TimeoutError, Unavailable):
        return {"database": "does not answer"}
    clock = _OK if told_at is None else agreement(asked_at, told_at, leader.clock.utc_now())
    return {"database": _OK, "clock": clock}


def agreement(asked_at: datetime, told_at: datetime, answered_at: datetime) -> str:
    """Whether two clocks agree, where one was read somewhere between two readings of the other; how far off if not."""
    ahead_s = max((asked_at - told_at).total_seconds(), 0.0) - max((told_at - answered_at).total_seconds(), 0.0)
    if abs(ahead_s) <= MOST_SKEW.total_seconds():
        return _OK
    return f"{abs(ahead_s):.1f} s {'ahead of' if ahead_s > 0 else 'behind'} the database's"


@router.get("/metrics", name="getMetrics", response_class=Response)
async def get_metrics(leader: LeaderParts) -> Response:
    """Prometheus metrics."""
    return Response(leader.request_metrics.render(await scrape.snapshot(leader)), media_type=CONTENT_TYPE)


@router.get("/api/v1/version", name="getVersion")
async def get_version() -> VersionView:
    """The leader's version."""
    return VersionView(version=_VERSION)


@router.get("/api/v1/openapi.json", name="getOpenApi")
async def get_open_api(request: Request) -> dict[str, Any]:
    """This description."""
    described: dict[str, Any] = request.app.openapi()
    return described


@router.get("/api/v1/schemas/job", name="getJobSchema")
async def get_job_schema() -> dict[str, Any]:
    """JSON Schema of the job file, for editors."""
    return job_json_schema()
