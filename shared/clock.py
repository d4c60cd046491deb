"""The one door to time: monotonic for durations, UTC for the record."""

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Tells the time without promising that it is real, so that tests can move it."""

    def monotonic_ns(self) -> int:
        """Nanoseconds since an arbitrary origin; never goes back."""
        ...

    def utc_now(self) -> datetime:
        """The wall clock, aware, in UTC. Stamps records; never measures a duration."""
        ...


class SystemClock:
    """The machine's clocks."""

    def monotonic_ns(self) -> int:
        return time.monotonic_ns()

    def utc_now(self) -> datetime:
        return datetime.now(UTC)
