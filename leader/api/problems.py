"""Errors -> application/problem+json, in one place."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import structlog
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.requests import Request

from leader.api.scope import REQUEST_ID
from shared.errors import InferBenchError, InvalidInput, NotFound, Problem, Unauthenticated, Unavailable
from shared.wire.views import ProblemDocument

MEDIA_TYPE: Final = "application/problem+json"
RETRY_AFTER_S: Final = 1
_LONGEST_ECHO: Final = 80

log = structlog.get_logger(__name__)


class MethodNotAllowed(InvalidInput):
    """The path exists, but not with this method."""

    code = "method-not-allowed"
    status = 405
    title = "The method is not allowed here"


class UnsupportedMediaType(InvalidInput):
    """The body is of a kind that this route does not read."""

    code = "unsupported-media-type"
    status = 415
    title = "The content type is not supported here"


class BadRequest(InvalidInput):
    """The request as HTTP is wrong, whatever the body says."""

    code = "bad-request"
    status = 400
    title = "The request is not well-formed"


class ClientTooSlow(InvalidInput):
    """The body stopped arriving."""

    code = "client-too-slow"
    status = 408
    title = "The body did not arrive in time"


def document(error: InferBenchError, instance: str | None) -> ProblemDocument:
    """The body that tells about ``error``; ``instance`` is the request's id."""
    return ProblemDocument(
        type=f"urn:inferbench:problem:{error.code}",
        title=error.title,
        status=error.status,
        code=error.code,
        detail=error.detail,
        instance=instance,
        problems=error.problems,
    )


def response(error: InferBenchError, instance: str | None, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """``error`` as HTTP."""
    extra = dict(headers or {})
    if isinstance(error, Unauthenticated):
        extra["WWW-Authenticate"] = 'Bearer realm="inferbench"'
    if isinstance(error, Unavailable):
        extra["Retry-After"] = str(RETRY_AFTER_S)
    return JSONResponse(
        document(error, instance).model_dump(mode="json", exclude_none=True),
        status_code=error.status,
        headers=extra,
        media_type=MEDIA_TYPE,
    )


def install(app: FastAPI) -> None:
    """Make every error of ``app`` a problem document."""
    for kind in (InferBenchError, RequestValidationError, HTTPException):
        app.add_exception_handler(kind, _answer)


async def _answer(request: Request, error: Exception) -> JSONResponse:
    known = as_known(error, request.method, request.url.path)
    if known.status >= InferBenchError.status:
        log.error("request.failed", code=known.code, detail=known.detail, exc_info=error)
    headers = error.headers if isinstance(error, HTTPException) else None
    return response(known, request.scope.get(REQUEST_ID), headers)


def as_known(error: Exception, method: str, path: str) -> InferBenchError:
    """Any exception as a leaf of the error tree; what nobody foresaw says nothing of its insides."""
    match error:
        case InferBenchError():
            return error
        case RequestValidationError():
            found = problems_of(error.errors())
            return InvalidInput(_summary(found), problems=found)
        case HTTPException(status_code=404):
            return NotFound(f"there is no {path}")
        case HTTPException(status_code=405):
            return MethodNotAllowed(f"{path} does not take {method}")
        case HTTPException():
            return BadRequest(str(error.detail))
        case _:
            return InferBenchError("this is a fault of InferBench; the leader's log has it under this request's id")


def problems_of(errors: Sequence[Mapping[str, Any]]) -> tuple[Problem, ...]:
    """Pydantic's error entries as problems: path without the part of the request that it stands in."""
    return tuple(
        Problem(
            path=".".join(str(part) for part in entry["loc"][1:]),
            message=f"{entry['loc'][0]}: {entry['msg']}" if len(entry["loc"]) == 1 else str(entry["msg"]),
            found=_echo(entry.get("input")),
        )
        for entry in errors
    )


def _summary(problems: Sequence[Problem]) -> str:
    return "; ".join(map(str, problems[:3])) + ("; ..." if len(problems) > 3 else "")  # noqa: PLR2004 - a summary


def _echo(value: Any) -> str | None:
    """A short form of a scalar that was found; whole objects are not sent back."""
    if value is None or isinstance(value, dict | list | bytes):
        return None
    text = str(value)
    return text if len(text) <= _LONGEST_ECHO else text[:_LONGEST_ECHO] + "..."
