"""The list of followers as last read, so that a burst of submits does not read it once each."""

from typing import Final

from leader.perfdb.entities import Follower
from leader.perfdb.protocol import FollowerStore
from shared.clock import Clock

FRESH_NS: Final = 1_000_000_000
"""How old the list may be where a second does not matter: for ringing, and for finding that a job can run."""


class Roster:
    """Every follower, by name. Other leaders register followers too, so what is kept grows old."""

    def __init__(self, followers: FollowerStore, clock: Clock) -> None:
        self._followers = followers
        self._clock = clock
        self._kept: list[Follower] = []
        self._read_at_ns: int | None = None

    async def recent(self) -> list[Follower]:
        """At most a second old. Raises Unavailable."""
        now_ns = self._clock.monotonic_ns()
        if self._read_at_ns is None or now_ns - self._read_at_ns > FRESH_NS:
            return await self.current()
        return self._kept

    async def current(self) -> list[Follower]:
        """Read now. Raises Unavailable."""
        now_ns = self._clock.monotonic_ns()
        self._kept = await self._followers.all()
        self._read_at_ns = now_ns
        return self._kept

    def forget(self) -> None:
        """Somebody came or left: the next look reads anew."""
        self._read_at_ns = None
