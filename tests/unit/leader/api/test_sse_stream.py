"""Server-sent events on the wire."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime

from leader.api import sse
from shared.wire.views import EventView

AT = datetime(2030, 1, 1, tzinfo=UTC)


def event(n: int, message: str = "fine", kind: str = "measuring") -> EventView:
    """One event."""
    return EventView(id=f"1.{n}", run_id="j-1.0000", at=AT, kind=kind, message=message)


async def of(*events: EventView | None) -> AsyncIterator[EventView | None]:
    """These and then the end."""
    for one in events:
        yield one


async def collect(events: AsyncIterator[EventView | None], closing: asyncio.Event | None = None) -> list[bytes]:
    """Everything that a stream sends."""
    return [chunk async for chunk in sse.stream(events, closing or asyncio.Event())]


def test_an_event_has_id_name_and_json() -> None:
    """What EventSource needs: id to resume, event to dispatch, data to parse."""
    lines = sse.as_bytes(event(2)).decode().split("\n")
    assert lines[:2] == ["id: 1.2", "event: measuring"]
    assert json.loads(lines[2].removeprefix("data: "))["message"] == "fine"
    assert lines[3:] == ["", ""]


def test_line_breaks_in_a_message_or_kind_cannot_forge_an_event() -> None:
    """A follower's text stays inside its own data line."""
    sent = sse.as_bytes(event(1, message="a\n\nid: 9.9\ndata: {}", kind="x\nid: 9.9")).decode()
    assert [line.partition(":")[0] for line in sent.strip().split("\n")] == ["id", "event", "data"]


async def test_a_stream_says_hello_then_events_then_ends() -> None:
    """The first bytes come at once, so that proxies and clients see an open stream."""
    assert await collect(of(event(1), event(2))) == [sse.HELLO, sse.as_bytes(event(1)), sse.as_bytes(event(2))]


async def test_silence_becomes_a_comment() -> None:
    """A None of the source is a sign of life that clients ignore."""
    assert await collect(of(None, event(1))) == [sse.HELLO, sse.HEARTBEAT, sse.as_bytes(event(1))]
    assert sse.HEARTBEAT.startswith(b":")


async def test_a_closing_leader_ends_a_stream_that_waits() -> None:
    """Shutdown does not wait for a run that takes an hour."""
    closing = asyncio.Event()

    async def endless() -> AsyncIterator[EventView | None]:
        yield event(1)
        await asyncio.sleep(3600)

    asyncio.get_running_loop().call_later(0.02, closing.set)
    async with asyncio.timeout(5):
        assert len(await collect(endless(), closing)) == 2
