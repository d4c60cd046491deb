"""The composition root: what the leader is made of, in the order in which it starts and stops."""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any, Final

import structlog
from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute

from leader.api import openapi, problems
from leader.api.access import undeclared
from leader.api.context import Leader
from leader.api.edge import Edge
from leader.api.routes import (
    conversions,
    converters,
    datasets,
    followers,
    history,
    jobs,
    models,
    process,
    results,
    runs,
    scheduling,
    tokens,
)
from leader.auth.bootstrap import ensure_tokens, refuse_unguarded
from leader.auth.tokens import Authenticator
from leader.background import Background, Loop, every
from leader.broker.bell import build_bell
from leader.manage.desk import Desk, build_desk
from leader.manage.policy import LeasePolicy
from leader.metrics import RequestMetrics
from leader.perfdb.mongo import connect
from leader.settings import LOOPBACK_HOSTS, LeaderSettings
from shared.clock import Clock, SystemClock

ROUTERS: Final = tuple(
    module.router
    for module in (
        process, jobs, runs, results, models, conversions, datasets, followers, converters, scheduling, history, tokens,
    )
)  # fmt: skip
SWEEP_EVERY_S: Final = 600.0
UPLOAD_ABANDONED_AFTER_S: Final = 86_400.0

log = structlog.get_logger(__name__)


class LeaderApi(FastAPI):
    """FastAPI, with a description that is completed from the access table."""

    def openapi(self) -> dict[str, Any]:
        if self.openapi_schema is None:
            self.openapi_schema = openapi.describe(self)
        return self.openapi_schema


def create_app(settings: LeaderSettings, *, clock: Clock | None = None) -> FastAPI:
    """The application; nothing is opened before its lifespan starts."""
    the_clock, request_metrics = clock or SystemClock(), RequestMetrics()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with open_leader(settings, the_clock, request_metrics) as leader:
            app.state.leader = leader
            yield

    app = _bare_app(ROUTERS, lifespan)
    hosts = LOOPBACK_HOSTS if settings.is_loopback else None
    app.add_middleware(Edge, observer=request_metrics, hosts=hosts)
    return app


def describe_app() -> dict[str, Any]:
    """The OpenAPI document, made without opening anything."""
    return _bare_app(ROUTERS, None).openapi()


def _bare_app(routers: Iterable[APIRouter], lifespan: Any) -> FastAPI:
    app = LeaderApi(
        title="InferBench",
        lifespan=lifespan,
        openapi_url=None,  # served by a route of ours, which asks for a token
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        generate_unique_id_function=lambda route: route.name,
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    routers = tuple(routers)
    faults = undeclared(route.name for router in routers for route in router.routes if isinstance(route, APIRoute))
    if faults:
        raise RuntimeError("; ".join(faults))
    for router in routers:
        app.include_router(router)
    problems.install(app)
    return app


@asynccontextmanager
async def open_leader(
    settings: LeaderSettings, clock: Clock, request_metrics: RequestMetrics
) -> AsyncGenerator[Leader]:
    """Connect, prepare, let the first token in, start the loops; on the way out the reverse.

    Raises:
        Unavailable: the database does not answer.
        Conflict: the database was written by a newer version.
        InvalidInput: a setting cannot be used.
    """
    perfdb, blobs = connect(settings.mongo_url.get_secret_value())
    broker_url = settings.broker_url.get_secret_value() if settings.broker_url else None
    bell = build_bell(broker_url)
    try:
        desk = build_desk(
            perfdb=perfdb,
            blobs=blobs,
            bell=bell,
            clock=clock,
            policy=LeasePolicy(lease=settings.lease, poll_s=settings.poll_s),
            broker_url=broker_url,
            max_upload_bytes=settings.max_model_bytes,
        )
        await desk.start()
        if settings.token_dir is not None:
            await ensure_tokens(settings.token_dir, perfdb.tokens, clock)
        await refuse_unguarded(host=settings.host, is_loopback=settings.is_loopback, store=perfdb.tokens)
        async with Background(_loops(desk), clock) as background:
            leader = Leader(
                settings=settings,
                clock=clock,
                desk=desk,
                bell=bell,
                authenticator=Authenticator(perfdb.tokens, clock),
                background=background,
                request_metrics=request_metrics,
            )
            yield leader
            leader.closing.set()
    finally:
        await asyncio.to_thread(bell.close)  # it waits for the ring that is being sent
        await perfdb.close()


def _loops(desk: Desk) -> dict[str, Loop]:
    loops = {name: every(interval_s, act) for name, (interval_s, act) in desk.rounds().items()}
    return {**loops, "uploads": every(SWEEP_EVERY_S, lambda: _sweep(desk))}


async def _sweep(desk: Desk) -> None:
    """Drop what was announced and never uploaded. Raises Unavailable."""
    dropped = await desk.models.sweep(pending_older_than_s=UPLOAD_ABANDONED_AFTER_S)
    dropped += await desk.datasets.sweep(pending_older_than_s=UPLOAD_ABANDONED_AFTER_S)
    log.log(logging.INFO if dropped else logging.DEBUG, "uploads.swept", dropped=dropped)
