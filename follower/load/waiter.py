"""Waiting for sockets and for the next due time, whichever is first, without losing a millisecond to rounding.

``epoll`` rounds its timeout up to whole milliseconds. A timer descriptor in the same epoll set wakes tens of
microseconds after its time; where the sender has a core of its own, it wakes early and polls the rest of the way.
"""

import ctypes
import os
import select
import struct
import time
from types import TracebackType
from typing import Final, Self

from follower.load.pacing import NEVER

_LONGEST_WAIT_NS: Final = 3_600_000_000_000
"""One wait at most; epoll itself refuses more than 24 days."""

_CLOCK_MONOTONIC: Final = 1  # linux/time.h
_TFD_TIMER_ABSTIME: Final = 1  # linux/timerfd.h
_NS_PER_S: Final = 1_000_000_000
_TIMER_SPEC: Final = struct.Struct("@4l")  # struct itimerspec: interval and value, each in seconds and nanoseconds


class Timer:
    """A Linux timer descriptor on CLOCK_MONOTONIC; Python itself has them from 3.13 on."""

    def __init__(self) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        self._settime = libc.timerfd_settime
        self._spec = bytearray(_TIMER_SPEC.size)
        self._pointer = ctypes.byref((ctypes.c_char * _TIMER_SPEC.size).from_buffer(self._spec))
        self._at_ns = 0
        self.fd: int = libc.timerfd_create(_CLOCK_MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC)
        if self.fd < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create failed")

    def set(self, at_ns: int) -> None:
        """Makes the descriptor readable from ``at_ns`` on; 0 for never. Clears what it was before."""
        if at_ns == self._at_ns:
            return
        self._at_ns = at_ns
        _TIMER_SPEC.pack_into(self._spec, 0, 0, 0, at_ns // _NS_PER_S, at_ns % _NS_PER_S)
        if self._settime(self.fd, _TFD_TIMER_ABSTIME, self._pointer, None) != 0:
            raise OSError(ctypes.get_errno(), f"timerfd_settime({at_ns}) failed")


class Waiter:
    """An epoll set with a timer in it. A context manager: leaving closes both."""

    def __init__(self, *, spin_ns: int = 0) -> None:
        """``spin_ns``: how long before a due time to stop sleeping and start polling; 0 for never."""
        self.spin_ns = spin_ns
        self._timer = Timer()
        self._timer_fd = self._timer.fd
        self._epoll = select.epoll()
        self._epoll.register(self._timer_fd, select.EPOLLIN | select.EPOLLET)  # told once for each expiry
        self._poll = self._epoll.poll
        self.register = self._epoll.register
        self.modify = self._epoll.modify

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._epoll.close()
        os.close(self._timer.fd)

    def poll(self) -> list[tuple[int, int]]:
        """What is ready now: (descriptor, epoll flags). A descriptor that is none of the caller's means nothing."""
        return self._poll(0)

    def wait(self, due_ns: int, latest_ns: int, now_ns: int) -> list[tuple[int, int]]:
        """The sockets that are ready, as soon as one is; or none, at ``due_ns`` or a little after ``latest_ns``.

        May hold the timer beside sockets, and may come back early with nothing.
        """
        wake_ns = due_ns - self.spin_ns
        if wake_ns <= now_ns:
            return self._spin(due_ns)
        self._timer.set(wake_ns if due_ns < NEVER else 0)
        wait_ns = min(latest_ns - now_ns, _LONGEST_WAIT_NS)
        ready = self._poll(wait_ns / _NS_PER_S if wait_ns > 0 else 0)
        if len(ready) == 1 and ready[0][0] == self._timer_fd:
            return self._spin(due_ns)
        return ready

    def _spin(self, due_ns: int) -> list[tuple[int, int]]:
        poll, clock_ns = self._poll, time.monotonic_ns
        while True:
            ready = poll(0)
            if ready or clock_ns() >= due_ns:
                return ready
