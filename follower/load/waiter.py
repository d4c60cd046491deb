"""Waiting for sockets and for the next due time, whichever is first, without losing a millisecond to rounding.

``epoll`` rounds its timeout up to whole milliseconds. A timer descriptor in the same epoll set wakes tens of
microseconds after its time; where the sender has a core of its own, it wakes early and polls the rest of the way.
"""

import ctypes
import os
import select
import time
from types import TracebackType
from typing import Final, Self

from follower.load.pacing import NEVER

SPIN_NS: Final = 300_000
"""Woken this long before the due time: an idle core of a virtual machine was seen to take up to 200 us to wake."""

_LONGEST_WAIT_NS: Final = 3_600_000_000_000
"""One wait at most; epoll itself refuses more than 24 days."""

_CLOCK_MONOTONIC: Final = 1  # linux/time.h
_TFD_TIMER_ABSTIME: Final = 1  # linux/timerfd.h
_NS_PER_S: Final = 1_000_000_000


class _TimeSpec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


class _TimerSpec(ctypes.Structure):
    _fields_ = (("interval", _TimeSpec), ("value", _TimeSpec))


class Timer:
    """A Linux timer descriptor on CLOCK_MONOTONIC; Python itself has them from 3.13 on."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._spec = _TimerSpec()
        self._pointer = ctypes.byref(self._spec)
        self._at_ns = 0
        self.fd: int = self._libc.timerfd_create(_CLOCK_MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC)
        if self.fd < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create failed")

    def set(self, at_ns: int) -> None:
        """Makes the descriptor readable from ``at_ns`` on; 0 for never. Clears what it was before."""
        if at_ns == self._at_ns:
            return
        self._at_ns = at_ns
        self._spec.value.seconds, self._spec.value.nanoseconds = divmod(at_ns, _NS_PER_S)
        if self._libc.timerfd_settime(self.fd, _TFD_TIMER_ABSTIME, self._pointer, None) != 0:
            raise OSError(ctypes.get_errno(), f"timerfd_settime({at_ns}) failed")


class Waiter:
    """An epoll set with a timer in it. A context manager: leaving closes both."""

    def __init__(self, *, spin_ns: int) -> None:
        self._spin_ns = spin_ns
        self._timer = Timer()
        self._epoll = select.epoll()
        self._epoll.register(self._timer.fd, select.EPOLLIN)
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
        """The sockets that are ready now: (descriptor, epoll flags)."""
        return self._sockets(0)

    def wait(self, due_ns: int, latest_ns: int) -> list[tuple[int, int]]:
        """The sockets that are ready, as soon as one is; or none, at ``due_ns`` or a little after ``latest_ns``."""
        self._timer.set(due_ns - self._spin_ns if due_ns < NEVER else 0)
        now_ns = time.monotonic_ns()
        latest_ns = min(latest_ns, now_ns + _LONGEST_WAIT_NS)
        ready = self._sockets(max(0, latest_ns - now_ns) / _NS_PER_S)
        if self._spin_ns and due_ns <= latest_ns:
            while not ready and time.monotonic_ns() < due_ns:
                ready = self._sockets(0)
        return ready

    def _sockets(self, timeout_s: float) -> list[tuple[int, int]]:
        timer = self._timer.fd
        return [event for event in self._epoll.poll(timeout_s) if event[0] != timer]
