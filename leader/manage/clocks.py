"""Followers' wall clocks, which may be wrong: how far they are off, and their stamps by the leader's clock. Pure.

Nothing is decided by a follower's wall clock. Leases are counted on the leader's clock and on the follower's monotonic
one; what followers stamp is only shown and stored, and that is set right here.
"""

from datetime import datetime, timedelta
from typing import Final

TOLERANCE_S: Final = 5.0
"""Up to here a clock counts as right: well above what a slow answer adds, and below what confuses a reader."""


def offset_s(told: datetime | None, received_at: datetime) -> float | None:
    """The leader's clock minus the follower's, in seconds, too large by the message's time on its way."""
    return None if told is None else (received_at - told).total_seconds()


def is_off(clock_offset_s: float | None) -> bool:
    """Whether the clock is so wrong that somebody should look after it."""
    return clock_offset_s is not None and abs(clock_offset_s) > TOLERANCE_S


def on_our_clock(at: datetime, clock_offset_s: float | None) -> datetime:
    """A follower's stamp by the leader's clock; as it is, where the follower's is right or does not tell."""
    if clock_offset_s is None or not is_off(clock_offset_s):
        return at
    try:
        return at + timedelta(seconds=clock_offset_s)
    except OverflowError:  # beyond the calendar's years
        return at


def in_words(clock_offset_s: float) -> str:
    """How the follower's clock stands."""
    return f"{abs(clock_offset_s):.0f} s {'behind' if clock_offset_s > 0 else 'ahead'}"
