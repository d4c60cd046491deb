"""What happens on every route before its handler: who is it, may it, is the query known, is the body allowed."""

from collections import Counter
from collections.abc import Callable, Collection, Coroutine, Iterator
from typing import Any

from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response

from leader.api import bodies
from leader.api.access import ACCESS, Access, Body
from leader.api.context import leader_of
from leader.api.scope import PRINCIPAL
from leader.auth.roles import Permission, is_granted
from leader.auth.tokens import Principal
from shared.errors import Forbidden, InvalidInput, Problem
from shared.jobs.document import MAX_JOB_FILE_BYTES


class GuardedRoute(APIRoute):
    """A route that is closed until ``leader.api.access`` opens it; authorisation comes before the body is read."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()
        known_query = frozenset(_query_names(self.dependant))

        async def guarded(request: Request) -> Response:
            access = ACCESS[self.name]
            await _admit(request, access.permission)
            refuse_unknown_query(request.query_params, known_query)
            return await handle(await _with_checked_body(request, access))

        return guarded


def _query_names(dependant: Dependant) -> Iterator[str]:
    yield from (field.alias for field in dependant.query_params)
    for inner in dependant.dependencies:
        yield from _query_names(inner)


async def _admit(request: Request, permission: Permission) -> None:
    if permission is Permission.OPEN:
        return
    authenticator = leader_of(request).authenticator
    principal = await authenticator.identify(request.headers.get("authorization"))
    authorise(principal, permission)
    request.scope[PRINCIPAL] = principal


def authorise(principal: Principal, permission: Permission) -> None:
    """Raises Forbidden where the role does not allow it."""
    if not is_granted(principal.role, permission):
        raise Forbidden(f"token {principal.name!r} is a {principal.role}; this needs the permission to {permission}")


def refuse_unknown_query(query: QueryParams, known: Collection[str]) -> None:
    """A misspelt filter must not mean "no filter", and no filter takes an operator.

    Raises:
        InvalidInput: a parameter is unknown or given twice.
    """
    counts = Counter(name for name, _ in query.multi_items())
    allowed = ", ".join(sorted(known)) or "none"
    problems = [
        Problem(path=name, message="no such query parameter", allowed=allowed) for name in counts if name not in known
    ]
    problems += [
        Problem(path=name, message="given more than once") for name, n in counts.items() if n > 1 and name in known
    ]
    if problems:
        raise InvalidInput("; ".join(map(str, problems)), problems=problems)


async def _with_checked_body(request: Request, access: Access) -> Request:
    match access.body:
        case Body.STREAM:
            bodies.declared_length(request.headers, leader_of(request).settings.max_model_bytes)
            return request
        case Body.JOB_FILE:
            bodies.require_type(request.headers, bodies.JOB_FILE_TYPES)
            return bodies.replay(request, await bodies.read(request, MAX_JOB_FILE_BYTES))
        case Body.JSON:
            bodies.require_type(request.headers, bodies.JSON_TYPES)
            body = await bodies.read(request, bodies.MAX_JSON_BYTES)
            bodies.require_json(body)
            return bodies.replay(request, body)
        case Body.NONE:
            return bodies.replay(request, await bodies.read(request, bodies.MAX_IGNORED_BYTES))
