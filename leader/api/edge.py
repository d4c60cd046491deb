"""The outermost layer: which hosts are answered, request ids, safe headers, and errors that nobody foresaw."""

import itertools
import re
import secrets
import time
from collections.abc import Collection
from http import HTTPStatus
from typing import Final, Protocol

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from leader.api import problems
from leader.api.scope import PRINCIPAL, REQUEST_ID
from leader.auth.roles import Role
from leader.auth.tokens import Principal

_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
_SAFE_HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; sandbox",
    "Referrer-Policy": "no-referrer",
}
_LONG_BODY_BYTES: Final = 1024 * 1024
UNMATCHED: Final = "unmatched"

log = structlog.get_logger(__name__)


_PROCESS: Final = secrets.token_hex(4)
_numbers: Final = itertools.count(1)
"""An id is this process's random part and a number: unique without asking the kernel at every request."""


class RequestObserver(Protocol):
    """Counts what was answered."""

    def observe(self, *, route: str, status: int, duration_s: float) -> None:
        """One request was answered (a stream: has ended)."""
        ...


def is_answered(host_header: str | None, hosts: Collection[str] | None) -> bool:
    """Whether a request for this Host is for us; ``hosts`` None: any.

    On loopback only loopback's names are, so that no web page can reach the API by pointing its own name here.
    """
    if hosts is None:
        return True
    host = (host_header or "").lower()
    name = host.rpartition("]")[0].lstrip("[") if host.startswith("[") else host.partition(":")[0]
    return name in hosts


class Edge:
    """ASGI middleware around everything else."""

    def __init__(self, app: ASGIApp, *, observer: RequestObserver, hosts: Collection[str] | None) -> None:
        self._app = app
        self._observer = observer
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        scope[REQUEST_ID] = request_id = _request_id(headers.get("x-request-id"))
        answer = _Answer(send, request_id, has_long_body=_has_long_body(headers))
        started_ns = time.perf_counter_ns()
        with structlog.contextvars.bound_contextvars(request_id=request_id):
            if is_answered(headers.get("host"), self._hosts):
                await self._serve(scope, receive, answer)
            else:
                refusal = problems.BadRequest("this leader listens on loopback and answers to loopback's names only")
                await problems.response(refusal, request_id)(scope, receive, answer.send)
            self._report(scope, answer, (time.perf_counter_ns() - started_ns) / 1e9)

    async def _serve(self, scope: Scope, receive: Receive, answer: "_Answer") -> None:
        try:
            await self._app(scope, receive, answer.send)
        except ClientDisconnect:
            log.info("request.abandoned", path=scope["path"])
        except Exception as error:
            log.exception("request.crashed", path=scope["path"])
            if answer.status is not None:
                raise  # too late for a problem document: the server cuts the connection
            known = problems.as_known(error, scope["method"], scope["path"])
            await problems.response(known, answer.request_id)(scope, receive, answer.send)

    def _report(self, scope: Scope, answer: "_Answer", duration_s: float) -> None:
        route = getattr(scope.get("route"), "name", UNMATCHED)
        status = answer.status or 0
        self._observer.observe(route=route, status=status, duration_s=duration_s)
        caller: Principal | None = scope.get(PRINCIPAL)
        event = {"route": route, "path": scope["path"], "status": status, "duration_ms": round(1e3 * duration_s, 3)}
        tell = log.info if _is_worth_keeping(scope["method"], caller) else log.debug
        tell("request.served", caller=caller.name if caller else None, **event)


class _Answer:
    """Adds the headers that every answer carries, and remembers the status."""

    def __init__(self, send: Send, request_id: str, *, has_long_body: bool) -> None:
        self._send = send
        self._has_long_body = has_long_body
        self.request_id = request_id
        self.status: int | None = None

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            headers["X-Request-Id"] = self.request_id
            headers.setdefault("Cache-Control", "no-store")
            for name, value in _SAFE_HEADERS.items():
                headers[name] = value
            if self._has_long_body and self.status >= HTTPStatus.BAD_REQUEST:
                headers["Connection"] = "close"  # or the server would read the rest of it, only to drop it
        await self._send(message)


def _is_worth_keeping(method: str, caller: Principal | None) -> bool:
    """Whether the log should show who did it: people's changes, but not reading, and not followers' routine."""
    return method not in {"GET", "HEAD"} and (caller is None or caller.role is not Role.FOLLOWER)


def _has_long_body(headers: Headers) -> bool:
    """More than is worth reading to the end after a refusal; a chunked body has no known end."""
    length = headers.get("content-length", "0")
    is_long = not length.isdigit() or int(length) > _LONG_BODY_BYTES
    return is_long or "transfer-encoding" in headers


def _request_id(offered: str | None) -> str:
    """The caller's id where it is harmless, so that its logs and ours can be joined; otherwise a new one."""
    return offered if offered and _REQUEST_ID.fullmatch(offered) else f"{_PROCESS}-{next(_numbers):x}"
