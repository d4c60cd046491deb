"""What every handler may ask for: the leader's parts, and who is calling."""

import asyncio
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends, Request

from leader.api.parameters import NamePath
from leader.api.scope import PRINCIPAL
from leader.auth.tokens import Authenticator, Principal, require_own
from leader.background import Background
from leader.broker.protocol import Bell
from leader.manage.desk import Desk
from leader.metrics import RequestMetrics
from leader.settings import LeaderSettings
from shared.clock import Clock


@dataclass(frozen=True)
class Leader:
    """The parts of a running leader. ``closing`` is set when it stops: streams end then."""

    settings: LeaderSettings
    clock: Clock
    desk: Desk
    bell: Bell
    authenticator: Authenticator
    background: Background
    request_metrics: RequestMetrics
    closing: asyncio.Event = field(default_factory=asyncio.Event)


def leader_of(request: Request) -> Leader:
    """The leader that serves this request."""
    leader: Leader = request.app.state.leader
    return leader


async def _leader(request: Request) -> Leader:
    return leader_of(request)


async def _desk(request: Request) -> Desk:
    return leader_of(request).desk


async def _caller(request: Request) -> Principal:
    principal: Principal = request.scope[PRINCIPAL]
    return principal


LeaderParts = Annotated[Leader, Depends(_leader)]
DeskParts = Annotated[Desk, Depends(_desk)]
Caller = Annotated[Principal, Depends(_caller)]


async def _own_name(caller: Caller, name: NamePath) -> str:
    require_own(caller, name)
    return name


OwnName = Annotated[str, Depends(_own_name)]
"""The follower or converter in the path, which the caller's token may speak for."""
