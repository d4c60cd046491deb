"""The clock that leases are counted on."""

import time


def now_ns() -> int:
    """Monotonic nanoseconds that also pass while the machine sleeps, as a leader's lease does."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)
