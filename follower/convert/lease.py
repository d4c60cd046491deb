"""Keeps the lease on one conversion from a thread of its own, so that no slow download costs it."""

import threading
from collections.abc import Callable
from types import TracebackType
from typing import Final, Self

import structlog

from follower.agent.boot_clock import now_ns
from shared.errors import InferBenchError, Unavailable

CALLS_PER_LEASE: Final = 3
MARGIN_S: Final = 3.0
"""Before the leader gives a conversion to another, its converter has stopped: see ``LeasePolicy``."""

log = structlog.get_logger()


class LeaseKeeper:
    """Renews until its ``with`` block ends, or the lease is lost."""

    def __init__(
        self, renew: Callable[[str | None], object], lease_s: float, since_ns: int, *, clock: Callable[[], int] = now_ns
    ) -> None:
        """``renew`` takes what the conversion stands still for, and raises what the leader says."""
        self._renew = renew
        self._lease_s = lease_s
        self._held_until_ns = self._end_of(since_ns)
        self._clock = clock
        self._waiting: str | None = None
        self._news = threading.Event()
        self._over = False
        self._thread = threading.Thread(target=self._keep, name="lease", daemon=True)
        self.lost: str | None = None
        """Why the conversion is not ours any more; None while it is."""

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over = True
        self._news.set()
        self._thread.join()

    def say(self, waiting: str | None) -> None:
        """What the conversion stands still for; told with a renewal at once where that is news."""
        if waiting != self._waiting:
            self._waiting = waiting
            self._news.set()

    def _keep(self) -> None:
        while not self._over and self.lost is None:
            self._news.wait(self._lease_s / CALLS_PER_LEASE)
            self._news.clear()
            if not self._over:
                self.renew_once()

    def renew_once(self) -> None:
        """One call; notes the loss where the leader refuses, or has not answered for too long."""
        asked_at_ns = self._clock()
        try:
            self._renew(self._waiting)
        except Unavailable as error:
            if self._clock() >= self._held_until_ns:
                self._lose(f"the leader did not answer for the length of the lease: {error.detail}")
        except InferBenchError as error:
            self._lose(error.detail)
        else:
            self._held_until_ns = self._end_of(asked_at_ns)

    def _lose(self, reason: str) -> None:
        log.warning("conversion-lease-lost", reason=reason)
        self.lost = reason

    def _end_of(self, since_ns: int) -> int:
        return since_ns + int((self._lease_s - MARGIN_S) * 1e9)
