"""Waiting for sockets and for a moment, to the tens of microseconds asleep and to the microsecond with a spin.

``epoll`` itself rounds its timeout up to whole milliseconds, and so do the timers of asyncio: a server that shall
take 300 us cannot be made of them. A timer descriptor (timerfd_create(2)) in the epoll set has no such grain.
"""

import ctypes
import os
import select
import time
from typing import Final

_CLOCK_MONOTONIC: Final = 1  # linux/time.h
_TFD_TIMER_ABSTIME: Final = 1  # linux/timerfd.h
_NS_PER_S: Final = 1_000_000_000


class _TimeSpec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


class _TimerSpec(ctypes.Structure):
    _fields_ = (("interval", _TimeSpec), ("value", _TimeSpec))


class Waiting:
    """An epoll set with a timer in it."""

    def __init__(self, spin_us: float, *, never_sleeps: bool = False) -> None:
        """``spin_us``: woken this long before a moment, it polls the rest of the way."""
        self._never_sleeps = never_sleeps
        self._spin_ns = round(spin_us * 1000)
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._timer = self._libc.timerfd_create(_CLOCK_MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC)
        if self._timer < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create failed")
        self._epoll = select.epoll()
        self._epoll.register(self._timer, select.EPOLLIN)
        self.register = self._epoll.register
        self.modify = self._epoll.modify
        self.unregister = self._epoll.unregister

    def close(self) -> None:
        """Gives both descriptors back."""
        self._epoll.close()
        os.close(self._timer)

    def until(self, moment_ns: int | None) -> list[tuple[int, int]]:
        """(descriptor, epoll flags) of what is ready, as soon as something is; or nothing, at the moment."""
        if self._never_sleeps:
            return self._poll_until(moment_ns)
        if moment_ns is None:
            self._set(0)
            return self._ready(-1)
        wake_ns = moment_ns - self._spin_ns
        if wake_ns > time.monotonic_ns():
            self._set(wake_ns)
            ready = self._ready(-1)
        else:
            ready = self._ready(0)
        return ready or self._poll_until(moment_ns)

    def _poll_until(self, moment_ns: int | None) -> list[tuple[int, int]]:
        ready: list[tuple[int, int]] = []
        while not ready and (moment_ns is None or time.monotonic_ns() < moment_ns):
            ready = self._ready(0)
        return ready

    def _set(self, at_ns: int) -> None:
        seconds, nanoseconds = divmod(at_ns, _NS_PER_S)
        spec = _TimerSpec(_TimeSpec(0, 0), _TimeSpec(seconds, nanoseconds))
        if self._libc.timerfd_settime(self._timer, _TFD_TIMER_ABSTIME, ctypes.byref(spec), None) != 0:
            raise OSError(ctypes.get_errno(), f"timerfd_settime({at_ns}) failed")

    def _ready(self, timeout_s: float) -> list[tuple[int, int]]:
        return [event for event in self._epoll.poll(timeout_s) if event[0] != self._timer]


def sleep_until(moment_ns: int, spin_us: float) -> None:
    """Holds the calling thread until the moment: asleep, then for the last ``spin_us`` awake."""
    asleep_ns = moment_ns - round(spin_us * 1000) - time.monotonic_ns()
    if asleep_ns > 0:
        time.sleep(asleep_ns / _NS_PER_S)
    while time.monotonic_ns() < moment_ns:
        continue
