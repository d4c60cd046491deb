"""The golden HTTP server: ``python -m shared.testing.http_server BEHAVIOUR CORES``, started by ``golden_server``.

One thread, raw non-blocking sockets under epoll, answers by a heap of moments: it is late by tens of microseconds at
most on a core of its own. Its standard output says the port; each line on its standard input is answered with the
journal, and the end of the input ends it.
"""

import ctypes
import gc
import heapq
import itertools
import json
import os
import select
import socket
import struct
import sys
import time
from collections.abc import Callable
from typing import Final

from shared.testing.behaviour import TRICKLE_PIECES, Behaviour
from shared.testing.http_messages import BROKEN, CUT_SHORT, Answers, Head, read_head, samples_of
from shared.testing.journal import Entry, Journal
from shared.testing.placing import place
from shared.testing.waiting import Waiting

_READ_BYTES: Final = 1 << 18
_BACKLOG: Final = 4096
_SO_ATTACH_FILTER: Final = 26  # asm-generic/socket.h
_BPF_RET_NOTHING: Final = struct.pack("HBBI", 0x06, 0, 0, 0)  # linux/filter.h: BPF_RET | BPF_K, accept 0 bytes
_RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)  # SO_LINGER, on, for 0 s: close(2) sends RST


class Connection:
    """One client connection; it carries one request at a time."""

    __slots__ = ("data", "head", "is_open", "number", "socket", "unsent")

    def __init__(self, accepted: socket.socket, number: int) -> None:
        self.socket = accepted
        self.number = number
        self.data = b""
        self.head: Head | None = None
        self.unsent = memoryview(b"")
        self.is_open = True


class HttpServer:
    """Serves until its input ends."""

    def __init__(self, behaviour: Behaviour) -> None:
        self._behaviour = behaviour
        self._answers = Answers(behaviour)
        self.journal = Journal(behaviour)
        self._waiting = Waiting(behaviour.spin_us, never_sleeps=behaviour.never_sleeps)
        self._connections: dict[int, Connection] = {}
        self._accepted = 0
        self._moments: list[tuple[int, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=_BACKLOG)
        self._listener.setblocking(False)
        self._waiting.register(self._listener.fileno(), select.EPOLLIN)
        self.port: int = self._listener.getsockname()[1]

    def watch(self, fd: int) -> None:
        """Has ``serve`` return when this descriptor becomes readable."""
        self._waiting.register(fd, select.EPOLLIN)

    def serve(self, until_fd: int) -> None:
        """Serves until ``until_fd`` is readable."""
        listener = self._listener.fileno()
        while True:
            for fd, flags in self._waiting.until(self._moments[0][0] if self._moments else None):
                if fd == until_fd:
                    return
                if fd == listener:
                    self._accept()
                elif (connection := self._connections.get(fd)) is not None:
                    self._attend(connection, flags)
            while self._moments and self._moments[0][0] <= time.monotonic_ns():
                heapq.heappop(self._moments)[2]()

    def _accept(self) -> None:
        try:
            accepted, _ = self._listener.accept()
        except OSError:
            return
        accepted.setblocking(False)
        accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._accepted += 1
        self._connections[accepted.fileno()] = Connection(accepted, self._accepted)
        self._waiting.register(accepted.fileno(), select.EPOLLIN)

    def _attend(self, connection: Connection, flags: int) -> None:
        if flags & select.EPOLLOUT:
            self._write(connection, b"")
        if not connection.is_open or not flags & ~select.EPOLLOUT:
            return
        try:
            data = connection.socket.recv(_READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._close(connection)
            return
        self._read(connection, data, time.monotonic_ns())

    def _read(self, connection: Connection, data: bytes, received_ns: int) -> None:
        connection.data = data = connection.data + data if connection.data else data
        head = connection.head or read_head(data)
        connection.head = head
        if head is None or len(data) < head.head_bytes + head.body_bytes:
            return
        connection.data, connection.head = b"", None
        entry = self.journal.open(received_ns, connection.number)
        samples = samples_of(data, head)
        if entry.end_ns <= received_ns:
            self._answer(connection, entry, samples)
        else:
            self._at(entry.end_ns, lambda: self._answer(connection, entry, samples))

    def _at(self, moment_ns: int, action: Callable[[], None]) -> None:
        heapq.heappush(self._moments, (moment_ns, next(self._order), action))

    def _answer(self, connection: Connection, entry: Entry, samples: int) -> None:
        fault = entry.fault
        if not connection.is_open or fault == "hang":
            return
        if fault == "reset":
            connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            self._close(connection)
        elif fault in {"close-early", "malformed"}:
            self._write(connection, CUT_SHORT if fault == "close-early" else BROKEN)
            self._close(connection)
        elif fault == "http-500":
            self._send(connection, entry, self._answers.failure())
        elif fault == "wrong-body":
            self._send(connection, entry, self._answers.wrong_body(samples))
        else:
            report = entry.report() if self._behaviour.reports else ()
            self._send(connection, entry, self._answers.infer(samples, report))

    def _send(self, connection: Connection, entry: Entry, answer: bytes) -> None:
        """The whole answer, at once or in pieces."""
        pieces, gap_ns = self._behaviour.pieces, self._behaviour.piece_gap_ms * 1e6
        if entry.fault == "trickle":
            pieces, gap_ns = TRICKLE_PIECES, self._behaviour.trickle_ms * 1e6
        if pieces == 1:
            self._finish(connection, entry, answer)
            return
        size = -(-len(answer) // pieces)
        self._trickle(connection, entry, [answer[i : i + size] for i in range(0, len(answer), size)], round(gap_ns))

    def _trickle(self, connection: Connection, entry: Entry, pieces: list[bytes], gap_ns: int) -> None:
        if not connection.is_open:
            return
        if len(pieces) == 1:
            self._finish(connection, entry, pieces[0])
            return
        self._write(connection, pieces[0])
        moment_ns = time.monotonic_ns() + gap_ns
        self._at(moment_ns, lambda: self._trickle(connection, entry, pieces[1:], gap_ns))

    def _finish(self, connection: Connection, entry: Entry, last: bytes) -> None:
        if entry.fault == "half-open":  # before the answer: the next request may follow it within microseconds
            _play_dead(connection.socket)
        entry.answered_ns = time.monotonic_ns()
        self._write(connection, last)
        if self._behaviour.close_each and not connection.unsent:
            self._close(connection)

    def _write(self, connection: Connection, data: bytes) -> None:
        left = memoryview(bytes(connection.unsent) + data if data else connection.unsent)
        try:
            sent = connection.socket.send(left)
        except BlockingIOError:
            sent = 0
        except OSError:
            self._close(connection)
            return
        if sent < len(left):
            connection.unsent = left[sent:]
            self._waiting.modify(connection.socket.fileno(), select.EPOLLIN | select.EPOLLOUT)
        elif connection.unsent:
            connection.unsent = left[sent:]
            self._waiting.modify(connection.socket.fileno(), select.EPOLLIN)
            if self._behaviour.close_each:
                self._close(connection)

    def _close(self, connection: Connection) -> None:
        if connection.is_open:
            connection.is_open = False
            del self._connections[connection.socket.fileno()]
            connection.socket.close()


def _play_dead(peer: socket.socket) -> None:
    """Has the kernel drop whatever comes for this socket from now on: nothing is acknowledged, nothing is reset."""
    program = ctypes.create_string_buffer(_BPF_RET_NOTHING, len(_BPF_RET_NOTHING))
    peer.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("HL", 1, ctypes.addressof(program)))


def main(behaviour: str, cores: str) -> None:
    """Says the port and serves; a line on the input is answered with the journal."""
    place(cores)
    server = HttpServer(Behaviour(**json.loads(behaviour)))
    server.watch(sys.stdin.fileno())
    sys.stdout.write(f"{server.port}\n")
    sys.stdout.flush()
    gc.collect()
    gc.freeze()
    gc.disable()
    while True:
        server.serve(sys.stdin.fileno())
        if not os.read(sys.stdin.fileno(), 4096):
            return
        sys.stdout.write(server.journal.text() + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
