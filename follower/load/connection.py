"""One keep-alive connection: a non-blocking socket that carries at most one exchange at a time."""

import os
import select
import socket
import time
from typing import Any, Final

from follower.load.response import ResponseReader
from shared.measure.columns import NOT_AVAILABLE

READ: Final = select.EPOLLIN
READ_AND_WRITE: Final = select.EPOLLIN | select.EPOLLOUT

_SEND_BUFFER_BYTES: Final = 1 << 20


class Exchange:
    """One request and its answer: the stamps of the columns, and what was counted on the way."""

    __slots__ = (
        "bytes_received",
        "bytes_sent",
        "connection",
        "due_ns",
        "ended",
        "first_byte_ns",
        "last_byte_ns",
        "payload",
        "row",
        "send_end_ns",
        "send_start_ns",
        "start_ns",
    )

    def __init__(self, row: int, payload: int, due_ns: int, start_ns: int) -> None:
        self.row = row
        self.payload = payload
        self.due_ns = due_ns
        self.start_ns = start_ns
        self.send_start_ns = NOT_AVAILABLE
        self.send_end_ns = NOT_AVAILABLE
        self.first_byte_ns = NOT_AVAILABLE
        self.last_byte_ns = NOT_AVAILABLE
        self.bytes_sent = 0
        self.bytes_received = 0
        self.ended = False
        self.connection: Connection | None = None


class Connection:
    """A socket, what is left to write, and the reader of its answers."""

    __slots__ = ("_connecting", "_unsent", "exchange", "fd", "reader", "socket")

    def __init__(self, family: int, address: Any, *, keep_body: bool) -> None:
        """Starts to connect and returns at once.

        Raises:
            OSError: refused at once, or there is no descriptor or port left.
        """
        self.reader = ResponseReader(keep_body=keep_body)
        self.exchange: Exchange | None = None
        self._unsent = memoryview(b"")
        self.socket = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        self.fd = self.socket.fileno()
        try:
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)
            self._connecting = self._connect(address)
        except OSError:
            self.socket.close()
            raise

    def _connect(self, address: Any) -> bool:
        try:
            self.socket.connect(address)
        except BlockingIOError:
            return True
        return False

    @property
    def wants_write(self) -> bool:
        """Whether to be woken when the socket takes bytes: it is connecting, or a request is half written."""
        return self._connecting or bool(self._unsent)

    def send(self, exchange: Exchange, request: bytes) -> None:
        """Writes as much of the request as the socket takes; ``flush`` writes the rest.

        Raises:
            OSError: the connection is lost.
        """
        self.exchange = exchange
        exchange.connection = self
        self.reader.start()
        self._unsent = memoryview(request)
        if not self._connecting:
            self._write()

    def flush(self) -> None:
        """The socket has become writable.

        Raises:
            OSError: it could not connect, or the connection is lost.
        """
        if self._connecting:
            error = self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if error:
                raise OSError(error, os.strerror(error))
            self._connecting = False
        if self._unsent:
            self._write()

    def _write(self) -> None:
        assert self.exchange is not None  # noqa: S101 - there are bytes to write only during an exchange
        try:
            sent = self.socket.send(self._unsent)
        except BlockingIOError:
            return
        self._unsent = self._unsent[sent:]
        self.exchange.bytes_sent += sent
        if not self._unsent:
            self.exchange.send_end_ns = time.monotonic_ns()

    def receive(self, buffer: memoryview) -> int | None:
        """Bytes read into ``buffer``; 0 at the end of the stream, None where nothing has come.

        Raises:
            OSError: the connection is lost.
        """
        try:
            return self.socket.recv_into(buffer)
        except BlockingIOError:
            return None

    def close(self) -> None:
        """Gives the descriptor back; epoll forgets it by itself."""
        self.socket.close()
