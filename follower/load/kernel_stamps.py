"""Time stamps that the kernel takes of a connection's bytes, for a latency without the sender in it.

Source: Linux Documentation/networking/timestamping.rst. Software stamps: of a sent byte when it is handed to the
network device, found in the socket's error queue with the number of that byte in the stream; of received bytes when
they come from the device, beside the data. They are CLOCK_REALTIME, so only differences are used, and one that cannot
be (a step of the clock in between) is not available.
"""

import contextlib
import select
import socket
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from follower.load.codec import Codec
from follower.load.connection import Connection
from follower.load.pool import Connect
from shared.measure.columns import NOT_AVAILABLE

_SO_TIMESTAMPING: Final = 37  # asm-generic/socket.h
_TX_SOFTWARE: Final = 1 << 1  # linux/net_tstamp.h, here and below
_RX_SOFTWARE: Final = 1 << 3
_SOFTWARE: Final = 1 << 4
_OPT_ID: Final = 1 << 7
_OPT_TSONLY: Final = 1 << 11
_FLAGS: Final = _TX_SOFTWARE | _RX_SOFTWARE | _SOFTWARE | _OPT_ID | _OPT_TSONLY

_STAMPS: Final = struct.Struct("@6l")  # struct scm_timestamping: three times, the first is the software's
_ERROR: Final = struct.Struct("=IBBBBII")  # struct sock_extended_err, linux/errqueue.h
_ERRORS_AT: Final = {(socket.SOL_IP, 11), (41, 25)}  # IP_RECVERR, and IPV6_RECVERR at SOL_IPV6
_ORIGIN_TIMESTAMPING: Final = 4  # SO_EE_ORIGIN_TIMESTAMPING
_SENT: Final = 0  # SCM_TSTAMP_SND
_ROOM: Final = 512  # bytes for both control messages
_KEY_BITS: Final = 0xFFFFFFFF
_NS_PER_S: Final = 1_000_000_000

_TRIAL_S: Final = 1.0
"""The kernel switches stamping on some time after it was asked to: 0.2 s were seen."""

_QUEUE_FLAGS: Final = socket.MSG_ERRQUEUE | socket.MSG_DONTWAIT

Control = list[tuple[int, int, bytes]]


def turn_on(connected: socket.socket) -> None:
    """Asks for stamps of everything from now on; bytes are counted from here.

    Raises:
        OSError: the kernel, or what contains us, does not allow it.
    """
    connected.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPING, _FLAGS)


def stamp_ns(control: Control) -> int | None:
    """The software stamp among control messages, in nanoseconds of CLOCK_REALTIME."""
    for level, kind, data in control:
        if level == socket.SOL_SOCKET and kind == _SO_TIMESTAMPING and len(data) >= _STAMPS.size:
            seconds, nanoseconds, *_ = _STAMPS.unpack_from(data)
            return seconds * _NS_PER_S + nanoseconds or None
    return None


def sent_byte(control: Control) -> int | None:
    """Which byte of the stream (modulo 2**32) a message of the error queue is about; None where it is another."""
    for level, kind, data in control:
        if (level, kind) in _ERRORS_AT and len(data) >= _ERROR.size:
            _, origin, _, _, _, what, byte = _ERROR.unpack_from(data)
            if origin == _ORIGIN_TIMESTAMPING and what == _SENT:
                return int(byte)
    return None


class StampedConnection(Connection):
    """A connection that asks the kernel when its bytes went and came.

    After each receipt the exchange's ``wire_ns`` runs from the last byte of the request to the last byte so far.
    """

    __slots__ = ("_key", "_sent_ns", "_written")

    def __init__(self, family: int, address: Any, codec: Codec) -> None:
        self._written = 0  # bytes since stamping was turned on
        self._key = -1  # number of the request's last byte
        self._sent_ns: int | None = None
        super().__init__(family, address, codec)
        self._send = self._send_counted
        self.receive = self._receive_stamped
        if not self.is_connecting:
            turn_on(self.socket)

    def flush(self) -> None:
        was_connecting = self.is_connecting
        if was_connecting:
            self._settle()
            turn_on(self.socket)
        super().flush()

    def _send_counted(self, data: bytes | bytearray | memoryview) -> int:
        sent = self.socket.send(data)
        self._written += sent
        if self.exchange is not None and self.exchange.send_end_ns == NOT_AVAILABLE:
            self._key = (self._written - 1) & _KEY_BITS
            self._sent_ns = None
        return sent

    def _receive_stamped(self, buffer: memoryview) -> int:
        self._read_queue()
        size, control, _, _ = self.socket.recvmsg_into([buffer], _ROOM)
        exchange, received_ns = self.exchange, stamp_ns(control)
        if exchange is not None and received_ns is not None and self._sent_ns is not None:
            wire_ns = received_ns - self._sent_ns
            is_plausible = 0 <= wire_ns <= time.monotonic_ns() - exchange.send_start_ns
            exchange.wire_ns = wire_ns if is_plausible else NOT_AVAILABLE
        return size

    def _read_queue(self) -> None:
        """Empties the error queue, because epoll tells of it until it is empty."""
        with contextlib.suppress(BlockingIOError):
            while True:
                _, control, _, _ = self.socket.recvmsg(0, _ROOM, _QUEUE_FLAGS)
                if sent_byte(control) == self._key:
                    self._sent_ns = stamp_ns(control)


@dataclass(frozen=True)
class Stamping:
    """Whether connections are stamped: how to make them, or why not."""

    connect: Connect | None
    note: str


@contextlib.contextmanager
def open_stamping(*, wanted: bool) -> Iterator[Stamping]:
    """Tries stamps on a connection of our own, which is kept open: as long as one asks, the kernel takes them."""
    if not wanted:
        yield Stamping(None, "")
        return
    with contextlib.ExitStack() as stack:
        try:
            trial = _trial(stack)
        except OSError as error:
            yield Stamping(None, f"wire latency is not available: kernel time stamps are refused: {error}")
            return
        if trial:
            yield Stamping(StampedConnection, "")
        else:
            yield Stamping(None, "wire latency is not available: the kernel takes no time stamps of loopback bytes")


def _trial(stack: contextlib.ExitStack) -> bool:
    """Whether both stamps of a byte arrive within a second."""
    listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
    ours = stack.enter_context(socket.create_connection(listener.getsockname()))
    theirs, _ = listener.accept()
    stack.enter_context(theirs)
    for end in (ours, theirs):
        turn_on(end)
    deadline_s = time.monotonic() + _TRIAL_S
    while time.monotonic() < deadline_s:
        ours.send(b"x")
        select.select([theirs], [], [], _TRIAL_S)
        _, received, _, _ = theirs.recvmsg(16, _ROOM)
        time.sleep(0.01)  # for the stamp of the sent byte, and between two trials
        with contextlib.suppress(BlockingIOError):
            _, sent, _, _ = ours.recvmsg(0, _ROOM, _QUEUE_FLAGS)
            if stamp_ns(sent) is not None and stamp_ns(received) is not None:
                return True
    return False
