"""Inferences one after another over one connection, timed: what a service does just after its start."""

import socket
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import numpy as np

from follower.load.codec import Codec, MalformedResponse
from follower.load.dialects import DIALECTS
from follower.load.encode import MalformedAnswer
from follower.load.protocol import LoadRequest, Target
from follower.load.tls import open_socket
from follower.load.work import work_of
from follower.serve.launch.log import tail
from shared.errors import AttemptFailed
from shared.jobs.lifecycle import Cause
from shared.jobs.wall_cap import LONGEST_STEADY_RUN_NS
from shared.measure.latency import Durations

_OK: Final = 200
_READ_BYTES: Final = 256 * 1024
_NS_PER_S: Final = 1e9


class Line:
    """One connection after another to a service, one exchange at a time."""

    def __init__(self, target: Target, timeout_ns: int, *, keep_body: bool) -> None:
        self._target, self._timeout_s, self._keep_body = target, timeout_ns / _NS_PER_S, keep_body
        self._open: tuple[socket.socket, Codec] | None = None

    def ask(self, request: bytes) -> tuple[Codec, int]:
        """The answer, and nanoseconds from the send to its last byte.

        Raises:
            OSError: no answer in time, or the connection is lost.
            MalformedResponse: the answer is none, or not a result.
        """
        connection, codec = self._usable()
        began_ns = time.monotonic_ns()
        connection.sendall(codec.start(request))
        while not codec.feed(memoryview(_receive(connection))):
            connection.sendall(codec.outgoing())
        took_ns = time.monotonic_ns() - began_ns
        connection.sendall(codec.outgoing())
        if codec.status != _OK:
            raise MalformedResponse(codec.explanation)
        return codec, took_ns

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._close()

    def _usable(self) -> tuple[socket.socket, Codec]:
        if self._open is None or not self._open[1].keep_alive:
            self._close()
            self._open = self._connected()
        return self._open

    def _connected(self) -> tuple[socket.socket, Codec]:
        codec = DIALECTS[self._target.dialect].codec(self._target, keep_body=self._keep_body)
        target = self._target
        connection = open_socket(target.host, target.port, target.tls, target.protocol, self._timeout_s)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.sendall(codec.greeting())
        return connection, codec

    def _close(self) -> None:
        if self._open is not None:
            self._open[0].close()
        self._open = None


def inferences(request: LoadRequest, count: int, log_path: Path) -> Durations:
    """Service latencies of ``count`` inferences, shape (n,); fewer where they take longer than a steady run may.

    Raises:
        PipelineFailed: a sample or an answer cannot be processed.
        AttemptFailed: NO_SUCCESSFUL_REQUEST at the first that fails: just after a start, each counts.
    """
    work, order = work_of(request), request.plan.payload
    taken_ns: list[int] = []
    ends_ns = time.monotonic_ns() + LONGEST_STEADY_RUN_NS
    with Line(request.target, request.request_timeout_ns, keep_body=work.takes_time) as line:
        while len(taken_ns) < count and time.monotonic_ns() < ends_ns:
            payload = int(order[len(taken_ns) % len(order)])
            try:
                codec, took_ns = line.ask(work.request(payload))
                work.finish(payload, codec)
            except (OSError, MalformedResponse, MalformedAnswer) as error:
                raise _failed(taken_ns, error, tail(log_path)) from error
            taken_ns.append(took_ns)
    return np.array(taken_ns, np.int64)


def _failed(before: Sequence[int], error: Exception, log_tail: str) -> AttemptFailed:
    detail = f"inference {len(before) + 1} after the first answer failed: {error}"
    return AttemptFailed(Cause.NO_SUCCESSFUL_REQUEST, detail, log_tail=log_tail)


def _receive(connection: socket.socket) -> bytes:
    data = connection.recv(_READ_BYTES)
    if not data:
        raise ConnectionResetError("the service closed the connection")
    return data
