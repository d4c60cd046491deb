"""Tokens: add, list, revoke; for admins."""

from fastapi import APIRouter

from leader.api.context import Leader, LeaderParts
from leader.api.guard import GuardedRoute
from leader.api.parameters import NamePath
from leader.api.shapes import NewTokenRequest
from leader.auth.issuing import Issuer
from shared.wire.views import NewTokenView, Page, TokenView

router = APIRouter(prefix="/api/v1/tokens", route_class=GuardedRoute, tags=["tokens"])


def _issuer(leader: Leader) -> Issuer:
    return Issuer(leader.desk.perfdb.tokens, leader.clock)


@router.post("", name="addToken", status_code=201, responses={409: {}})
async def add_token(leader: LeaderParts, new: NewTokenRequest) -> NewTokenView:
    """A new token, in the answer and nowhere else."""
    return await _issuer(leader).add(new.name, new.role, new.follower)


@router.get("", name="listTokens")
async def list_tokens(leader: LeaderParts) -> Page[TokenView]:
    """Every token by name, on one page; never the tokens themselves."""
    return Page(items=tuple(await _issuer(leader).all()))


@router.delete("/{name}", name="revokeToken", status_code=204, responses={409: {}})
async def revoke_token(leader: LeaderParts, name: NamePath) -> None:
    """Take it away; it is refused within five seconds. 409 for the last admin token."""
    await _issuer(leader).revoke(name)
