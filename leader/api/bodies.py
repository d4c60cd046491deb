"""Reading a request's body: never more than allowed, never waiting for ever, only of the right kind."""

import asyncio
from collections.abc import AsyncIterator, Collection
from typing import Final

from pydantic_core import from_json
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect, Request
from starlette.types import Message

from leader.api.problems import BadRequest, ClientTooSlow, UnsupportedMediaType
from shared.errors import InvalidInput, TooLarge
from shared.jobs.document import JSON, YAML

MAX_JSON_BYTES: Final = 1024 * 1024
MAX_IGNORED_BYTES: Final = 1024
JSON_TYPES: Final = (JSON,)
JOB_FILE_TYPES: Final = (YAML, JSON)
_PATIENCE_S: Final = 30.0


def declared_length(headers: Headers, limit_bytes: int) -> int | None:
    """Content-Length, checked before a byte is read; None where the body is chunked.

    Raises:
        BadRequest: it is no length.
        TooLarge: it is above the limit.
    """
    text = headers.get("content-length")
    if text is None:
        return None
    if not (text.isascii() and text.isdigit()):
        raise BadRequest(f"Content-Length {text!r} is not a number of bytes")
    if int(text) > limit_bytes:
        raise TooLarge(f"the body has {text} bytes; at most {limit_bytes} are read here")
    return int(text)


def require_type(headers: Headers, allowed: Collection[str]) -> str:
    """The media type of the body.

    Raises:
        UnsupportedMediaType: it is not one of ``allowed``. (None of them is one that a foreign web page may send.)
    """
    media_type = headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type not in allowed:
        found = media_type or "none"
        raise UnsupportedMediaType(f"send the body with Content-Type {' or '.join(allowed)}; found {found}")
    return media_type


async def chunks(request: Request, limit_bytes: int) -> AsyncIterator[bytes]:
    """The body as it arrives.

    Raises:
        TooLarge: more than ``limit_bytes`` came, whatever the headers said.
        ClientTooSlow: nothing came for half a minute.
        ClientDisconnect: the caller went away in the middle.
    """
    declared_length(request.headers, limit_bytes)
    received_bytes, more = 0, True
    while more:
        message = await _next(request)
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        chunk: bytes = message.get("body", b"")
        more = message.get("more_body", False)
        received_bytes += len(chunk)
        if received_bytes > limit_bytes:
            raise TooLarge(f"the body is longer than the {limit_bytes} bytes that are read here")
        if chunk:
            yield chunk


async def _next(request: Request) -> Message:
    try:
        async with asyncio.timeout(_PATIENCE_S):
            return await request.receive()
    except TimeoutError:
        raise ClientTooSlow(f"no byte of the body arrived for {_PATIENCE_S:.0f} s") from None


async def read(request: Request, limit_bytes: int) -> bytes:
    """The whole body. Raises what ``chunks`` raises."""
    return b"".join([chunk async for chunk in chunks(request, limit_bytes)])


def require_json(body: bytes) -> None:
    """Strict JSON, so without NaN and Infinity.

    Raises:
        InvalidInput: it is not.
    """
    try:
        from_json(body, allow_inf_nan=False)
    except ValueError as error:
        raise InvalidInput(f"the body is not JSON: {error}") from error


def replay(request: Request, body: bytes) -> Request:
    """``request`` with a body that was read already, for whoever reads it next."""
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Message:
        return messages.pop() if messages else await request.receive()

    return Request(request.scope, receive)
