"""A server whose true answer times are known by construction, and which writes down what it really did.

Run as a script it is the server; imported, it is the means to start one. Tests compare a measurement with the
journal, that is with what the server did, not with what it was told to do. It shares no code with the product.
"""

import asyncio
import json
import os
import random
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

SCORES = (0.1, 0.7, 0.2)
"""What it answers for every sample: output ``scores``, class 1 best."""

Fault = Literal["", "http-500", "reset", "close-early", "hang", "malformed", "wrong-body"]


@dataclass(frozen=True, kw_only=True)
class Behaviour:
    """What the server does with the n-th infer request, n from 1."""

    service_ms: float = 1.0
    sigma: float = 0.0  # > 0: log-normal service time with median service_ms
    serial: bool = False  # one at a time, so capacity is 1000 / service_ms per second
    stall_s: float = 0.0  # frozen for so long at the end of every period, counted from the first request
    period_s: float = 1.0
    fault: Fault = ""
    fault_every: int = 1  # every so-manieth request gets the fault
    chunked: bool = False
    pieces: int = 1  # the answer trickles out in so many pieces
    piece_gap_ms: float = 0.0
    close_each: bool = False
    reports: bool = True  # sends the inferbench-* headers


class Done(NamedTuple):
    """One journal line: monotonic ns, comparable with every other process of this machine."""

    n: int
    received_ns: int
    started_ns: int
    answered_ns: int  # -1: never
    fault: str


class GoldenServer(NamedTuple):
    """A running server."""

    host: str
    port: int
    process: subprocess.Popen[str]

    def journal(self) -> list[Done]:
        """What it did, in the order of receiving."""
        with socket.create_connection((self.host, self.port), timeout=10) as connection:
            connection.sendall(b"GET /journal HTTP/1.1\r\n\r\n")
            answer = connection.makefile("rb").read()
        return [Done(*line) for line in json.loads(answer.partition(b"\r\n\r\n")[2])]

    def signal(self, number: signal.Signals) -> None:
        """Stops, continues or kills it."""
        os.kill(self.process.pid, number)


@contextmanager
def golden_server(behaviour: Behaviour | None = None) -> Iterator[GoldenServer]:
    """A server process of this behaviour, killed at the end."""
    command = [sys.executable, "-I", "-S", str(Path(__file__)), json.dumps(asdict(behaviour or Behaviour()))]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield GoldenServer("127.0.0.1", int(process.stdout.readline()), process)
        finally:
            process.kill()


class Model:
    """When a request received at ``now`` starts and ends: pure but for its random draws."""

    def __init__(self, behaviour: Behaviour) -> None:
        self._behaviour = behaviour
        self._random = random.Random(7)  # noqa: S311 - a service time is no secret
        self._first: float | None = None
        self._free_at = 0.0

    def times(self, now: float) -> tuple[float, float]:
        """Start and end of service, in seconds of the same clock as ``now``."""
        if self._first is None:
            self._first = now
        service = self._behaviour.service_ms / 1000 * self._random.lognormvariate(0, self._behaviour.sigma)
        start = self._thawed(max(now, self._free_at if self._behaviour.serial else now))
        end = self._thawed(start + service)
        self._free_at = end
        return start, end

    def _thawed(self, moment: float) -> float:
        """The moment, or the end of the stall into which it falls."""
        if not self._behaviour.stall_s or self._first is None:
            return moment
        phase = (moment - self._first) % self._behaviour.period_s
        frozen = phase >= self._behaviour.period_s - self._behaviour.stall_s
        return moment + self._behaviour.period_s - phase if frozen else moment


class Service:
    """Shared by all connections."""

    def __init__(self, behaviour: Behaviour) -> None:
        self.behaviour = behaviour
        self.model = Model(behaviour)
        self.journal: list[list[Any]] = []

    def fault_of(self, n: int) -> Fault:
        return self.behaviour.fault if n % self.behaviour.fault_every == 0 else ""


class Connection(asyncio.Protocol):
    """Reads requests one after another; an answer is sent by a timer."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._data = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        received_ns = time.monotonic_ns()
        self._data += data
        head, blank, body = bytes(self._data).partition(b"\r\n\r\n")
        if not blank:
            return
        line, *headers = head.lower().split(b"\r\n")
        fields = dict(header.split(b": ", 1) for header in headers)
        if len(body) < int(fields.get(b"content-length", b"0")):
            return
        self._data.clear()
        if line.startswith(b"get /journal"):
            text = json.dumps(self._service.journal).encode()
            self._transport.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + text)
            self._transport.close()
        else:
            self._infer(received_ns, fields, body)

    def _infer(self, received_ns: int, fields: dict[bytes, bytes], body: bytes) -> None:
        service = self._service
        n = len(service.journal) + 1
        start_s, end_s = service.model.times(received_ns / 1e9)
        entry = [n, received_ns, round(start_s * 1e9), -1, service.fault_of(n)]
        service.journal.append(entry)
        samples = _samples(fields, body)
        asyncio.get_running_loop().call_later(end_s - time.monotonic(), self._answer, entry, samples)

    def _answer(self, entry: list[Any], samples: int) -> None:
        if self._transport.is_closing() or entry[4] == "hang":
            return
        now_ns = time.monotonic_ns()
        if entry[4] in {"reset", "close-early", "malformed"}:
            self._break(entry[4])
        else:
            self._send(self._render(entry, now_ns, samples), entry)

    def _break(self, fault: str) -> None:
        if fault == "reset":
            self._transport.abort()
            return
        text = (
            b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort" if fault == "close-early" else b"SSH-2.0-no\r\n\r\n"
        )
        self._transport.write(text)
        self._transport.close()

    def _render(self, entry: list[Any], now_ns: int, samples: int) -> bytes:
        _, received_ns, start_ns, _, fault = entry
        behaviour = self._service.behaviour
        length, body = _infer_response(samples)
        if fault == "wrong-body":
            body = b"x" * len(body)
        head = ["HTTP/1.1 500 Broken" if fault == "http-500" else "HTTP/1.1 200 OK", "X-Padding: golden"]
        head += [f"Inference-Header-Content-Length: {length}"]
        if behaviour.reports:
            head += [f"inferbench-queue-ns: {start_ns - received_ns}", f"inferbench-inference-ns: {now_ns - start_ns}"]
            head += [f"inferbench-total-ns: {now_ns - received_ns}", f"inferbench-batch-size: {samples}"]
        if behaviour.close_each:
            head += ["Connection: close"]
        if behaviour.chunked:
            head += ["Transfer-Encoding: chunked"]
            half = len(body) // 2
            parts = (body[:half], body[half:], b"")
            body = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts)
        else:
            head += [f"Content-Length: {len(body)}"]
        return "\r\n".join([*head, "", ""]).encode() + body

    def _send(self, data: bytes, entry: list[Any]) -> None:
        behaviour = self._service.behaviour
        size = -(-len(data) // behaviour.pieces)
        for i in range(behaviour.pieces):
            piece, last = data[i * size : (i + 1) * size], i == behaviour.pieces - 1
            delay = i * behaviour.piece_gap_ms / 1000
            if delay:
                asyncio.get_running_loop().call_later(delay, self._write, piece, entry, last)
            else:
                self._write(piece, entry, last)

    def _write(self, piece: bytes, entry: list[Any], last: bool) -> None:
        if last:
            entry[3] = time.monotonic_ns()
        self._transport.write(piece)
        if last and self._service.behaviour.close_each:
            self._transport.close()


def _samples(fields: dict[bytes, bytes], body: bytes) -> int:
    """The batch size of an infer request, 1 where the body is none."""
    length = int(fields.get(b"inference-header-content-length", b"0"))
    return int(json.loads(body[:length])["inputs"][0]["shape"][0]) if length else 1


def _infer_response(samples: int) -> tuple[int, bytes]:
    """Length of the JSON, and the whole body: output ``scores`` as binary FP32 of shape (samples, 3)."""
    data = struct.pack(f"<{3 * samples}f", *SCORES * samples)
    output = {
        "name": "scores",
        "datatype": "FP32",
        "shape": [samples, 3],
        "parameters": {"binary_data_size": len(data)},
    }
    head = json.dumps({"model_name": "golden", "outputs": [output]}).encode()
    return len(head), head + data


async def serve(behaviour: Behaviour) -> None:
    """Serves until killed."""
    service = Service(behaviour)
    server = await asyncio.get_running_loop().create_server(lambda: Connection(service), "127.0.0.1", 0, backlog=4096)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(Behaviour(**json.loads(sys.argv[1]))))
