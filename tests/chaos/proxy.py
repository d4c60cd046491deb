"""A TCP proxy on loopback whose link can be made slow, half-open, or cut.

``up`` is from the one who connects to the target, ``down`` the other way. A held direction carries nothing while its
connections stay open, as when a cable is pulled: what was sent meanwhile arrives once it is let go.
"""

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, Literal

Way = Literal["up", "down"]
BOTH: Final[tuple[Way, Way]] = ("up", "down")
CHUNK_BYTES: Final = 65_536
_RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)  # SO_LINGER without time: closing sends RST


class Proxy:
    """Carries connections to ``port`` on to ``target_port``. Everything here happens in its loop."""

    def __init__(self, target_port: int) -> None:
        self._target_port = target_port
        self._open = {way: asyncio.Event() for way in BOTH}
        self._delay_s = 0.0
        self._is_cut = False
        self._writers: set[asyncio.StreamWriter] = set()
        self._connections: set[asyncio.Task[None]] = set()
        self.heal()

    def delay(self, delay_s: float) -> None:
        """Each piece takes so much longer, both ways."""
        self._delay_s = delay_s

    def hold(self, *ways: Way) -> None:
        """Half-open: nothing passes these ways (both, where none is named), and nobody is told."""
        for way in ways or BOTH:
            self._open[way].clear()

    def cut(self) -> None:
        """Reset every connection, and each new one."""
        self._is_cut = True
        for writer in tuple(self._writers):
            _reset(writer)

    def heal(self) -> None:
        """As if nothing had been."""
        self._is_cut = False
        self.delay(0.0)
        for gate in self._open.values():
            gate.set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, until both ways have ended."""
        if self._is_cut:
            return _reset(writer)
        task = asyncio.current_task()
        if task is not None:
            self._connections.add(task)
            task.add_done_callback(self._connections.discard)
        with self._kept(writer):
            try:
                far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target_port)
            except OSError:
                return _reset(writer)
            with self._kept(far_writer):
                await asyncio.gather(self._carry("up", reader, far_writer), self._carry("down", far_reader, writer))
        return None

    async def _carry(self, way: Way, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Bytes, then their end as it came: a close, or a reset."""
        try:
            while data := await reader.read(CHUNK_BYTES):
                if self._delay_s:
                    await asyncio.sleep(self._delay_s)
                await self._open[way].wait()
                writer.write(data)
                await writer.drain()
            await self._open[way].wait()
            if writer.can_write_eof():
                writer.write_eof()
        except OSError:
            await self._open[way].wait()
            _reset(writer)

    @contextlib.contextmanager
    def _kept(self, writer: asyncio.StreamWriter) -> Iterator[None]:
        self._writers.add(writer)
        try:
            yield
        finally:
            self._writers.discard(writer)
            writer.close()

    async def close(self) -> None:
        """End every connection."""
        for task in tuple(self._connections):
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)


def _reset(writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    writer.transport.abort()


class Link:
    """A proxy as threads other than its own use it."""

    def __init__(self, port: int, proxy: Proxy, loop: asyncio.AbstractEventLoop) -> None:
        self.port = port
        self._proxy = proxy
        self._loop = loop

    def delay(self, delay_s: float) -> None:
        """Each piece takes so much longer, both ways."""
        self._do(lambda: self._proxy.delay(delay_s))

    def hold(self, *ways: Way) -> None:
        """Half-open: nothing passes these ways (both, where none is named), and nobody is told."""
        self._do(lambda: self._proxy.hold(*ways))

    def cut(self) -> None:
        """Reset every connection, and each new one."""
        self._do(self._proxy.cut)

    def heal(self) -> None:
        """As if nothing had been."""
        self._do(self._proxy.heal)

    def _do(self, act: Callable[[], None]) -> None:
        async def soon() -> None:
            act()

        asyncio.run_coroutine_threadsafe(soon(), self._loop).result()


@contextmanager
def links(target_port: int, count: int) -> Iterator[list[Link]]:
    """So many links to one port, in a thread of their own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="links", daemon=True)
    thread.start()
    opened = [asyncio.run_coroutine_threadsafe(_open(target_port), loop).result() for _ in range(count)]
    try:
        yield [Link(server.sockets[0].getsockname()[1], proxy, loop) for proxy, server in opened]
    finally:
        asyncio.run_coroutine_threadsafe(_close(opened), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _open(target_port: int) -> tuple[Proxy, asyncio.Server]:
    proxy = Proxy(target_port)
    return proxy, await asyncio.start_server(proxy.serve, "127.0.0.1", 0)


async def _close(opened: list[tuple[Proxy, asyncio.Server]]) -> None:
    for proxy, server in opened:
        server.close()
        await proxy.close()
    await asyncio.sleep(0)
