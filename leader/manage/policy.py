"""The few times that the leader decides by."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

HEARTBEATS_PER_LEASE: Final = 3


@dataclass(frozen=True, kw_only=True)
class LeasePolicy:
    """How long a follower may hold a run unheard, and how much later the leader gives the run to another.

    A follower stops its attempt ``lease - 3 s`` after the last renewal it sent; the leader waits until
    ``lease + grace``. Between the two nobody executes the run: that order is what keeps one device to one attempt.
    """

    lease: timedelta = timedelta(seconds=15)
    grace: timedelta = timedelta(seconds=3)
    poll_s: float = 2.0

    @property
    def heartbeat_s(self) -> float:
        return self.lease.total_seconds() / HEARTBEATS_PER_LEASE
