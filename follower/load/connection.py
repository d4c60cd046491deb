"""One keep-alive connection: a non-blocking socket and a codec that carry at most one exchange at a time."""

import os
import select
import socket
import time
from collections.abc import Callable
from typing import Any, Final

from follower.load.codec import Codec
from follower.load.exchange import Exchange

READ: Final = select.EPOLLIN
READ_AND_WRITE: Final = select.EPOLLIN | select.EPOLLOUT

_SEND_BUFFER_BYTES: Final = 1 << 20


class Connection:
    """A socket, its codec, and what is left to write.

    ``receive`` and ``_send`` are the socket's own methods: the hot path calls nothing of ours in between. ``receive``
    reads into a buffer and returns the bytes read, 0 at the end of the stream; it raises BlockingIOError where
    nothing has come and OSError where the connection is lost.
    """

    __slots__ = (
        "_send",
        "_unsent",
        "codec",
        "exchange",
        "fd",
        "is_connecting",
        "is_spent",
        "receive",
        "socket",
        "wants_write",
        "watched",
    )

    awaits_peer = False  # connecting, and it is the peer's turn to say something

    receive: Callable[[memoryview], int]
    _send: Callable[[bytes | bytearray | memoryview], int]

    def __init__(self, family: int, address: Any, codec: Codec) -> None:
        """Starts to connect and returns at once.

        Raises:
            OSError: refused at once, or there is no descriptor or port left.
        """
        self.codec = codec
        self.exchange: Exchange | None = None
        self.is_spent = False  # it can carry no other exchange
        self.socket = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        self.fd = self.socket.fileno()
        self._send = self.socket.send
        self.receive = self.socket.recv_into
        self._unsent: bytes | bytearray | memoryview = codec.greeting()
        self.watched = READ_AND_WRITE  # what epoll was told to tell of
        try:
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)
            self.is_connecting = self._connect(address)
        except OSError:
            self.socket.close()
            raise
        self.wants_write = True  # at least to find out that it is connected

    def _connect(self, address: Any) -> bool:
        try:
            self.socket.connect(address)
        except BlockingIOError:
            return True
        return False

    def carry(self, exchange: Exchange) -> None:
        """Begins the exchange and writes as much of it as the socket takes; ``flush`` writes the rest.

        Raises:
            OSError: the connection is lost.
        """
        self.exchange = exchange
        data = self.codec.start(exchange.request)
        if exchange.send_start_ns < 0:  # neither connected for it, nor sent before
            exchange.send_start_ns = time.monotonic_ns()
        if self.wants_write:  # connecting, or its greeting is on the way
            self._unsent = b"".join((self._unsent, data))
            if not self.is_connecting:
                self.flush()
            return
        try:
            sent = self._send(data)
        except BlockingIOError:
            sent = 0
        exchange.bytes_sent = sent
        if sent == len(data) and self.codec.is_sent:
            exchange.send_end_ns = time.monotonic_ns()
        else:
            self._unsent = memoryview(data)[sent:]
            self.flush()

    def flush(self) -> None:
        """Writes what is left, and what the protocol itself has to say, as far as the socket takes it.

        Raises:
            OSError: it could not connect, or the connection is lost.
        """
        if self.is_connecting:
            self._settle()
        self._unsent = self._unsent or self.codec.outgoing()
        while self._unsent:
            try:
                sent = self._send(self._unsent)
            except BlockingIOError:
                break
            if self.exchange is not None:
                self.exchange.bytes_sent += sent
            self._unsent = memoryview(self._unsent)[sent:] if sent < len(self._unsent) else self.codec.outgoing()
        self.wants_write = bool(self._unsent)
        exchange = self.exchange
        if exchange is not None and not self.wants_write and self.codec.is_sent and exchange.send_end_ns < 0:
            exchange.send_end_ns = time.monotonic_ns()

    def say(self, data: bytes) -> None:
        """Writes what the codec had to say, after anything that is not yet written.

        Raises:
            OSError: the connection is lost.
        """
        self._unsent = b"".join((self._unsent, data))
        self.flush()

    def close(self) -> None:
        """Gives the descriptor back; epoll forgets it by itself."""
        self.socket.close()

    def _settle(self) -> None:
        error = self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if error:
            raise OSError(error, os.strerror(error))
        self.is_connecting = False
