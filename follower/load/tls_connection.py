"""Encrypted connections of a sender: a hand-shake apart from every request, then bytes as before."""

import ssl
import statistics
import time
from collections.abc import Sequence
from typing import Any, Final

from follower.load.codec import Codec
from follower.load.connection import Connection
from follower.load.kernel_stamps import Stamping
from follower.load.pool import Connect
from follower.load.protocol import Target
from follower.load.tls import Protocol, check_agreed, wrapped
from follower.serve.secure import Tls

NO_WIRE_LATENCY: Final = "wire latency is not available: the bytes on the wire are TLS's records, and not the requests'"

_LARGEST_RECORD_BYTES: Final = 1 << 14  # of plain text; RFC 8446, section 5.1
_NS_PER_MS: Final = 1e6


class TlsConnection(Connection):
    """A connection that shakes hands before it carries anything.

    An exchange that waited for the hand-shake is stamped as sent from its end on, and has the wait as ``setup_ns``.
    """

    __slots__ = ("_protocol", "_tls", "_wrapped", "awaits_peer", "setup_ns", "was_awaited")

    def __init__(self, family: int, address: Any, codec: Codec, tls: Tls, protocol: Protocol) -> None:
        self._tls = tls
        self._protocol = protocol
        self._wrapped: ssl.SSLSocket | None = None
        self.awaits_peer = False
        self.was_awaited = False  # by an exchange
        self.setup_ns = time.monotonic_ns()  # until it is set up: when that began
        super().__init__(family, address, codec)
        self.is_connecting = True
        self.receive = self._receive_plain
        self._send = self._send_plain

    @property
    def is_set_up(self) -> bool:
        """Whether it could carry something."""
        return not self.is_connecting

    def flush(self) -> None:
        if self.is_connecting and not self._has_shaken():
            return
        super().flush()

    def _settle(self) -> None:
        """Nothing is left to do once hands are shaken."""

    def _has_shaken(self) -> bool:
        """Goes on with the hand-shake as far as the socket lets it."""
        if self._wrapped is None:
            super()._settle()  # raises OSError where it could not connect
            self.is_connecting = True
            try:
                self.socket.getpeername()
            except OSError:  # not yet connected
                return False
            self._wrapped = self.socket = wrapped(self.socket, self._tls, self._protocol, shake=False)
        try:
            self._wrapped.do_handshake()
        except ssl.SSLWantReadError:
            self.awaits_peer = True
            return False
        except ssl.SSLWantWriteError:
            self.awaits_peer = False
            return False
        check_agreed(self._wrapped, self._protocol)
        self.awaits_peer = self.is_connecting = False
        self._stamp()
        return True

    def _stamp(self) -> None:
        now_ns = time.monotonic_ns()
        self.setup_ns = now_ns - self.setup_ns
        exchange = self.exchange
        if exchange is None:
            return
        self.was_awaited = True
        if not exchange.sent_again:
            exchange.setup_ns = now_ns - exchange.send_start_ns
            exchange.send_start_ns = now_ns

    def _send_plain(self, data: bytes | bytearray | memoryview) -> int:
        assert self._wrapped is not None  # noqa: S101 - nothing is sent before hands are shaken
        try:
            return self._wrapped.send(data)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError) as error:
            raise BlockingIOError from error

    def _receive_plain(self, buffer: memoryview) -> int:
        """All that has come: what TLS has taken from the socket already, epoll does not tell of."""
        if self._wrapped is None or self.is_connecting:
            raise BlockingIOError
        size = 0
        while len(buffer) - size >= _LARGEST_RECORD_BYTES:
            try:
                received = self._wrapped.recv_into(buffer[size:])
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError) as error:
                if size:
                    break
                raise BlockingIOError from error
            except OSError:
                if size:
                    break  # told again at the next look
                raise
            if not received:
                break
            size += received
        return size


class TlsConnector:
    """Makes a sender's encrypted connections, and remembers what setting them up took."""

    def __init__(self, target: Target, tls: Tls) -> None:
        self._tls = tls
        self._protocol = target.protocol
        self._made: list[TlsConnection] = []

    def __call__(self, family: int, address: Any, codec: Codec) -> TlsConnection:
        connection = TlsConnection(family, address, codec, self._tls, self._protocol)
        self._made.append(connection)
        return connection

    @property
    def note(self) -> str:
        """How many connections were set up, and how long that took, apart from every request."""
        ahead = [made.setup_ns for made in self._made if made.is_set_up and not made.was_awaited]
        during = [made.setup_ns for made in self._made if made.is_set_up and made.was_awaited]
        return (
            f"TLS: no request waited for the set-up of {_told(ahead)}, one did for that of {_told(during)};"
            " the wait is in response latencies (column setup_ns), and in no service latency"
        )


def _told(setups_ns: Sequence[int]) -> str:
    if not setups_ns:
        return "no connection"
    return f"{len(setups_ns)} connection(s) (median {statistics.median(setups_ns) / _NS_PER_MS:.1f} ms)"


def connect_of(target: Target, stamping: Stamping) -> Connect:
    """How a sender connects to the target."""
    if target.tls is None:
        return stamping.connect or Connection
    return TlsConnector(target, target.tls)
