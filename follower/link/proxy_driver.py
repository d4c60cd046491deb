"""Carries out what the shapers decide as a TCP proxy, for followers that may not have a device of their own.

Chunks of a stream stand for packets. A proxy cannot lose any, hides TCP's own slow start and adds its wake-ups: it is
for links of some milliseconds (``shared.jobs.network.COARSE_DELAY_MS``). A new connection waits for one round trip
before its first byte travels, as the handshake would.

Connections to the proxy have a network's segments. With loopback's, of 64 KiB, a receiver acknowledges our small chunks
only every 40 ms, and what is written meanwhile can be held back for as long.
"""

import asyncio
import select
import selectors
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from follower.link.delay_line import DelayLine, both_ways
from follower.link.shaping import MTU_BYTES, QUEUE_BYTES, shape_of
from shared.jobs.network import NetworkLink

HEADER_BYTES: Final = 52
"""Of IPv4 and TCP with time stamps, in every packet."""
SEGMENT_BYTES: Final = MTU_BYTES - HEADER_BYTES
_MSS_BYTES: Final = MTU_BYTES - 40
"""As ends of a network of this MTU announce it: less the headers without options (RFC 9293, section 3.7.1)."""
PATH_NS: Final = 300_000
"""One way, by measurement: wake-ups for the reader, for the moment that is due, and for the writer."""
_LARGEST_CHUNK: Final = 44 * SEGMENT_BYTES  # what a network card is handed at once
_CHUNK_NS: Final = 1_000_000
_UNBOUNDED_BYTES: Final = 1 << 62

Chunk = tuple[asyncio.StreamWriter, bytes]


class PreciseSelector(selectors.EpollSelector):
    """Sleeps with select's microseconds in place of epoll's milliseconds: an epoll descriptor can be waited for."""

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is not None and timeout > 0:
            select.select([self.fileno()], [], [], timeout)
            timeout = 0
        return super().select(timeout)


@dataclass
class _Lane:
    """One direction."""

    line: DelayLine[Chunk]
    waiting_bytes: int = 0
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    has_room: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.has_room.set()


class Proxy:
    """All connections of one link; they share its rate."""

    def __init__(self, link: NetworkLink, seed: int) -> None:
        shape = replace(shape_of(link, PATH_NS), loss=0.0, queue_bytes=_UNBOUNDED_BYTES)
        self._round_trip_s = 2 * shape.delay_ns / 1e9
        segments = int(_CHUNK_NS / shape.ns_per_byte / MTU_BYTES) if shape.ns_per_byte else 1 << 20
        self._chunk_bytes = min(_LARGEST_CHUNK, max(1, segments) * SEGMENT_BYTES)
        up: DelayLine[Chunk]
        down: DelayLine[Chunk]
        up, down = both_ways(shape, seed)
        self._up, self._down = _Lane(up), _Lane(down)
        self._tasks: set[asyncio.Task[Any]] = set()

    async def listen(
        self, targets: Sequence[tuple[str, int]], listeners: Sequence[socket.socket] = ()
    ) -> list[tuple[str, int]]:
        """Listens on one socket for each target, by default on ports of the loopback address; where they are."""
        self._tasks |= {asyncio.create_task(_carry(lane)) for lane in (self._up, self._down)}
        opened: list[tuple[str, int]] = []
        for target, listener in zip(targets, listeners or [_loopback_port() for _ in targets], strict=True):
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, _MSS_BYTES)
            server = await asyncio.start_server(self._accept(target), sock=listener, limit=self._chunk_bytes)
            opened.append(server.sockets[0].getsockname()[:2])
        return opened

    def _accept(self, target: tuple[str, int]) -> Any:
        async def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                far_reader, far_writer = await asyncio.open_connection(*target, limit=self._chunk_bytes)
            except OSError:
                writer.transport.abort()
                return
            await asyncio.sleep(self._round_trip_s)
            await asyncio.gather(self._pump(reader, far_writer, self._up), self._pump(far_reader, writer, self._down))

        return accepted

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, lane: _Lane) -> None:
        """Puts what is read onto its way; a full queue holds the reader back. b"" is the end of the stream."""
        data = b"-"
        while data:
            try:
                data = await reader.read(self._chunk_bytes)
            except OSError:
                data = b""
            segments = max(1, -(-len(data) // SEGMENT_BYTES))
            lane.line.enter(time.monotonic_ns(), (writer, data), len(data) + segments * HEADER_BYTES)
            lane.waiting_bytes += len(data)
            lane.changed.set()
            if lane.waiting_bytes > QUEUE_BYTES:
                lane.has_room.clear()
            await lane.has_room.wait()


async def _carry(lane: _Lane) -> None:
    """Writes every chunk when it is due."""
    while True:
        while (chunk := lane.line.leave(time.monotonic_ns())) is not None:
            writer, data = chunk
            lane.waiting_bytes -= len(data)
            if lane.waiting_bytes <= QUEUE_BYTES:
                lane.has_room.set()
            if data:
                writer.write(data)
            elif writer.can_write_eof() and not writer.transport.is_closing():
                writer.write_eof()
        due_ns = lane.line.next_due_ns
        if due_ns is None:
            lane.changed.clear()
            await lane.changed.wait()
        else:
            await asyncio.sleep(max(0, due_ns - time.monotonic_ns()) / 1e9)


def _loopback_port() -> socket.socket:
    return socket.create_server(("127.0.0.1", 0))


def run(
    link: NetworkLink,
    seed: int,
    targets: Sequence[tuple[str, int]],
    opened: Any,
    listeners: Sequence[socket.socket] = (),
) -> None:
    """Until the process ends; ``opened`` is told where the link's ends are."""

    async def main() -> None:
        opened(await Proxy(link, seed).listen(targets, listeners))
        await asyncio.Event().wait()

    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(PreciseSelector())) as runner:
        runner.run(main())
