"""What an idle link does: the round trip of small messages, and what it carries each way if its rate is limited.

Both ends are in this process, so one clock stamps both; the far end listens on the loopback address, where the
service does, and is reached through the link as the service is. Its wake-ups, some 0.1 ms, are part of the round trip.
"""

import math
import os
import select
import socket
import statistics
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, Self

from follower.link.shaping import MTU_BYTES
from shared.jobs.network import NetworkLink
from shared.measure.link import LinkReading, delay_tolerance_ms

_HEADER: Final = struct.Struct("<cQ")
_ECHO, _SINK, _SOURCE = b"e", b"u", b"d"
_SEGMENT_SHARE: Final = (MTU_BYTES - 52) / MTU_BYTES  # of a full packet, what is not IPv4's and TCP's headers
_PIECE: Final = bytes(1 << 16)

FEWEST_ROUND_TRIPS: Final = 20
MOST_ROUND_TRIPS: Final = 400
_LONGEST_PINGING_S: Final = 5.0
_TRANSFER_S: Final = 0.6
_TRANSFER_ROUND_TRIPS: Final = 16
"""A stream's first half covers TCP's slow start; only the second is timed."""
_LONGEST_TRANSFER_S: Final = 20.0
MOST_UNDER_WAY_BYTES: Final = 2_000_000
"""Above it one connection's buffers, and not the link, are what limits a transfer."""
_RESENT_NS: Final = 1_500_000
"""A message that took two round trips and this longer was sent again: TCP probes for a lost tail after two round trips
and 2 ms (RFC 8985, section 7.2)."""


class Responder:
    """The far end: answers on the loopback address, in threads that die with the process."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True, name="link-responder").start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:  # closed
                return
            threading.Thread(target=_respond, args=(connection,), daemon=True).start()


def _respond(connection: socket.socket) -> None:
    with connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            kind, size = _HEADER.unpack(connection.recv(_HEADER.size, socket.MSG_WAITALL))
            if kind == _SINK:
                connection.sendall(struct.pack("<d", _receive_mbit(connection, size)))
            elif kind == _SOURCE:
                _send(connection, size)
            with _ahead_of_others():
                while data := connection.recv(4096):
                    connection.sendall(data)
        except (OSError, struct.error):  # the other end is gone
            return


@contextmanager
def _ahead_of_others() -> Iterator[None]:
    """This thread comes first on its core, where that is permitted: the link is measured, and not the wait for it."""
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    except PermissionError:
        yield
        return
    try:
        yield
    finally:
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


@dataclass(frozen=True)
class _Pings:
    """How often and how densely small messages are sent: so that they do not meet on a link that jitters.

    ``alone``: each waits for the answer to the last, because one that is sent again holds up all behind it.
    """

    count: int
    gap_ns: int
    alone: bool


def _pings(link: NetworkLink) -> _Pings:
    deviation_ms = math.sqrt(2) * link.jitter_ms
    wanted = math.ceil((4 * deviation_ms / delay_tolerance_ms(link.delay_ms)) ** 2)
    gap_s = (1 + max(4 * link.jitter_ms, link.delay_ms / 4)) / 1e3
    fitting = int(_LONGEST_PINGING_S / gap_s)
    return _Pings(
        max(FEWEST_ROUND_TRIPS, min(wanted, MOST_ROUND_TRIPS, fitting)), int(gap_s * 1e9), alone=link.loss_pct > 0
    )


def measure(link: NetworkLink, driver: str, address: tuple[str, int]) -> LinkReading:
    """Measures the link to a ``Responder`` behind ``address``.

    Raises:
        OSError: nothing comes through.
    """
    patience_s = 10 + 8 * link.delay_ms / 1e3
    taken_ms = [ns / 1e6 for ns in _round_trips_ns(link, address, patience_s)]
    up_mbit = down_mbit = None
    size = _transfer_bytes(link)
    if size is not None:
        with _asked(address, _SINK, size, patience_s) as connection:
            _send(connection, size)
            (up_mbit,) = struct.unpack("<d", connection.recv(8, socket.MSG_WAITALL))
        with _asked(address, _SOURCE, size, patience_s) as connection:
            down_mbit = _receive_mbit(connection, size)
    return LinkReading(
        driver=driver,
        **link.model_dump(),
        round_trip_ms=statistics.fmean(taken_ms),
        round_trip_stddev_ms=statistics.stdev(taken_ms),
        round_trips=len(taken_ms),
        up_mbit=up_mbit,
        down_mbit=down_mbit,
    )


def _transfer_bytes(link: NetworkLink) -> int | None:
    """What to send for the rate; None where TCP itself would be what is measured: losses, or too much under way."""
    round_trip_s = 2 * link.delay_ms / 1e3
    lasts_s = _TRANSFER_S + _TRANSFER_ROUND_TRIPS * round_trip_s
    if link.rate_mbit is None or link.loss_pct or lasts_s > _LONGEST_TRANSFER_S:
        return None
    bytes_per_s = link.rate_mbit * 1e6 / 8
    return None if bytes_per_s * round_trip_s > MOST_UNDER_WAY_BYTES else int(bytes_per_s * lasts_s)


@contextmanager
def _asked(address: tuple[str, int], kind: bytes, size: int, patience_s: float) -> Iterator[socket.socket]:
    with socket.create_connection(address, timeout=patience_s) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.sendall(_HEADER.pack(kind, size))
        yield connection


def _round_trips_ns(link: NetworkLink, address: tuple[str, int], patience_s: float) -> list[int]:
    """Of messages that were not lost on the way, which are a handful at least."""
    pings = _pings(link)
    with _asked(address, _ECHO, 0, patience_s) as connection:
        connection.sendall(b".")
        connection.recv(1)  # connected, and both ends are awake
        with _ahead_of_others():
            taken_ns = _ping(connection, pings, patience_s)
    longest_ns = 2 * min(taken_ns) + _RESENT_NS + int(8e6 * link.jitter_ms)
    return [ns for ns in taken_ns if ns <= longest_ns] if link.loss_pct else taken_ns


def _ping(connection: socket.socket, pings: _Pings, patience_s: float) -> list[int]:
    sent_ns: list[int] = []
    taken_ns: list[int] = []
    next_ns = time.monotonic_ns()
    while len(taken_ns) < pings.count:
        now_ns = time.monotonic_ns()
        all_answered = len(sent_ns) == len(taken_ns)
        if len(sent_ns) < pings.count and now_ns >= next_ns and (all_answered or not pings.alone):
            sent_ns.append(time.monotonic_ns())
            connection.sendall(b".")
            next_ns = now_ns + pings.gap_ns
            continue
        is_last = len(sent_ns) == pings.count or (pings.alone and not all_answered)
        ready, _, _ = select.select([connection], [], [], patience_s if is_last else (next_ns - now_ns) / 1e9)
        if ready:
            answered = len(connection.recv(4096))
            at_ns = time.monotonic_ns()
            if not answered:
                raise ConnectionResetError("the link's far end is gone")
            taken_ns += [at_ns - sent_ns[len(taken_ns) + index] for index in range(answered)]
        elif is_last:
            raise TimeoutError(f"no answer through the link within {patience_s:g} s")
    return taken_ns


def _send(connection: socket.socket, size: int) -> None:
    for start in range(0, size, len(_PIECE)):
        connection.sendall(_PIECE[: size - start])


def _receive_mbit(connection: socket.socket, size: int) -> float:
    """Megabits per second on the link over the second half of ``size`` bytes."""
    received, half, half_ns = 0, 0, 0
    buffer = memoryview(bytearray(1 << 18))
    while received < size:
        count = connection.recv_into(buffer)
        if not count:
            raise ConnectionResetError("the link's far end is gone")
        received += count
        if not half and received >= size // 2:
            half, half_ns = received, time.monotonic_ns()
    taken_ns = max(1, time.monotonic_ns() - half_ns)
    return (received - half) * 8e3 / taken_ns / _SEGMENT_SHARE
