"""Server-sent events: the wire format, and a stream that ends when the leader does."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Final

from shared.wire.views import EventView

MEDIA_TYPE: Final = "text/event-stream"
HEARTBEAT_S: Final = 15.0
_RECONNECT_MS: Final = 2000
HELLO: Final = f"retry: {_RECONNECT_MS}\n\n".encode()
HEARTBEAT: Final = b": alive\n\n"


def as_bytes(event: EventView) -> bytes:
    """One event on the wire. JSON has no bare line breaks, and neither ids nor kinds may have any."""
    kind = "".join(character for character in event.kind if character.isprintable())
    return f"id: {event.id}\nevent: {kind}\ndata: {event.model_dump_json()}\n\n".encode()


async def stream(events: AsyncIterator[EventView | None], closing: asyncio.Event) -> AsyncGenerator[bytes]:
    """``events`` as bytes, a comment for each None, until they end or ``closing`` is set."""
    yield HELLO
    async for event in _until(events, closing):
        yield HEARTBEAT if event is None else as_bytes(event)


async def _until(events: AsyncIterator[EventView | None], closing: asyncio.Event) -> AsyncGenerator[EventView | None]:
    closed = asyncio.create_task(closing.wait())
    upcoming: asyncio.Task[EventView | None] | None = None
    try:
        while True:
            upcoming = asyncio.create_task(_next(events))
            await asyncio.wait({upcoming, closed}, return_when=asyncio.FIRST_COMPLETED)
            if not upcoming.done():
                return
            yield upcoming.result()
    except StopAsyncIteration:
        return
    finally:
        closed.cancel()
        if upcoming is not None:
            upcoming.cancel()


async def _next(events: AsyncIterator[EventView | None]) -> EventView | None:
    return await anext(events)
