"""Throwaway certificates, and a door of TLS in front of a server that speaks in the clear."""

import asyncio
import contextlib
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from support.engines import require

_PIECE_BYTES = 64 * 1024


@dataclass(frozen=True)
class Certificate:
    """A certificate that signed itself, and so is its own authority."""

    file: Path
    key: Path


def certificate(folder: Path, *names: str) -> Certificate:
    """For these names, such as ``IP:127.0.0.1`` and ``DNS:models.lab``, for a day; made by the openssl program."""
    require(shutil.which("openssl") is not None, "there is no openssl program to make a certificate with")
    folder.mkdir(parents=True, exist_ok=True)
    made = Certificate(folder / "certificate.pem", folder / "key.pem")
    subprocess.run(
        [
            "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
            "-days", "1", "-subj", "/CN=test", "-addext", f"subjectAltName={','.join(names)}",
            "-keyout", made.key, "-out", made.file,
        ],
        check=True,
        capture_output=True,
    )  # fmt: skip
    return made


@dataclass
class Door:
    """What was seen at the door."""

    port: int = 0
    handshakes: int = 0
    protocols: list[str | None] = field(default_factory=list)  # agreed by ALPN, one for each connection


@contextmanager
def tls_door(
    leads_to: tuple[str, int],
    made: Certificate,
    *,
    alpn: Sequence[str] = ("h2", "http/1.1"),
    delay_s: float = 0.0,
    cut_after: int | None = None,
) -> Iterator[Door]:
    """Takes TLS on a loopback port and passes what is inside on, in the clear.

    ``delay_s``: before it shakes hands. ``cut_after``: answers' bytes after which the connection is cut off, without
    TLS's own goodbye.
    """
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(made.file, made.key)
    if alpn:
        context.set_alpn_protocols(list(alpn))
    door, opened, closing = Door(), threading.Event(), asyncio.Event()
    loop = asyncio.new_event_loop()

    async def greet(guest: socket.socket) -> None:
        await asyncio.sleep(delay_s)
        reader = asyncio.StreamReader()
        protocol = asyncio.StreamReaderProtocol(reader)
        transport, _ = await loop.connect_accepted_socket(lambda: protocol, guest, ssl=context)
        door.handshakes += 1
        door.protocols.append(transport.get_extra_info("ssl_object").selected_alpn_protocol())
        writer = asyncio.StreamWriter(transport, protocol, reader, loop)
        try:
            await _pass_on(reader, writer, leads_to, cut_after)
        finally:
            writer.close()

    async def welcome(listener: socket.socket) -> None:
        guests = set[asyncio.Task[None]]()
        while True:
            guest, _ = await loop.sock_accept(listener)
            guests.add(loop.create_task(_quietly(greet(guest))))

    async def serve() -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            listener.setblocking(False)
            door.port = listener.getsockname()[1]
            task = loop.create_task(_quietly(welcome(listener)))
            opened.set()
            await closing.wait()
            task.cancel()
        for left in asyncio.all_tasks() - {asyncio.current_task()}:
            left.cancel()
            await asyncio.wait([left])

    thread = threading.Thread(target=loop.run_until_complete, args=[serve()])
    thread.start()
    opened.wait(10)
    try:
        yield door
    finally:
        loop.call_soon_threadsafe(closing.set)
        thread.join()
        loop.close()


async def _quietly(work: Coroutine[Any, Any, None]) -> None:
    """A guest that turns on the threshold is no defect of ours."""
    with contextlib.suppress(OSError, ssl.SSLError, asyncio.CancelledError):
        await work


async def _pass_on(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, leads_to: tuple[str, int], cut_after: int | None
) -> None:
    inner_reader, inner_writer = await asyncio.open_connection(*leads_to)

    async def inwards() -> None:
        while data := await reader.read(_PIECE_BYTES):
            inner_writer.write(data)
            await inner_writer.drain()
        inner_writer.close()

    async def outwards() -> None:
        passed = 0
        while data := await inner_reader.read(_PIECE_BYTES):
            if cut_after is not None and passed + len(data) > cut_after:
                writer.write(data[: cut_after - passed])
                await writer.drain()
                writer.transport.abort()
                return
            passed += len(data)
            writer.write(data)
            await writer.drain()
        writer.close()

    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(inwards())
            group.create_task(outwards())
    except* (OSError, ssl.SSLError):
        pass
    finally:
        inner_writer.close()
