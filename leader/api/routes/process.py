"""The process itself: alive, ready, measured, described."""

import asyncio
from importlib.metadata import version
from typing import Any, Final

from fastapi import APIRouter, Request, Response

from leader.api import scrape
from leader.api.context import Leader, LeaderParts
from leader.api.guard import GuardedRoute
from leader.api.shapes import HealthView, ReadinessView, VersionView
from leader.metrics import CONTENT_TYPE
from shared.errors import Unavailable
from shared.jobs.schema import job_json_schema

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
    """Whether requests can be served: the database answers, the background loops live."""
    unsettled = leader.background.unsettled()
    checks = {"database": await _database(leader)}
    checks |= {f"loop {name}": unsettled.get(name, _OK) for name in leader.background.health}
    ready = all(state == _OK for state in checks.values())
    response.status_code = 200 if ready else 503
    return ReadinessView(status="ready" if ready else "not ready", checks=checks)


async def _database(leader: Leader) -> str:
    try:
        async with asyncio.timeout(_PING_WITHIN_S):
            await leader.desk.perfdb.ping()
    except (TimeoutError, Unavailable):
        return "does not answer"
    return _OK


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
