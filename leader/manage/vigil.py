"""How long each lease has stood unchanged, and each attempt has been held: by this leader's own monotonic clock.

A wall clock may be set at any time, and those of two leaders differ. So the moment at which a lease is stored to end
is for people, and for compare-and-set; no run is taken back because of it. What counts is how long this leader has
*seen* the lease unchanged. That is never longer than the lease has really stood, whatever any wall clock says. A
leader that was just started begins to count then: a lost run waits for it a lease and a grace at most.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from leader.perfdb.entities import HeldLease, Run
from shared.clock import Clock


@dataclass(frozen=True)
class _Seen:
    """A lease, since when it stands as it is, and since when its attempt has been held."""

    lease: HeldLease
    since_ns: int
    held_since_ns: int


class Vigil:
    """What this leader has seen of leases."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._seen: dict[str, _Seen] = {}

    async def watch(self, run: Run) -> None:
        """A run moved, through this leader."""
        lease = run.status.lease
        if lease is None:
            self._seen.pop(run.id, None)
        else:
            self._note(HeldLease(run_id=run.id, fence=run.status.fence, expires_at=lease.expires_at))

    def look(self, leases: Sequence[HeldLease], *, began_ns: int) -> None:
        """All leases there are, as they were read since ``began_ns``. What was seen since then is newer than they."""
        there = {lease.run_id for lease in leases}
        self._seen = {
            run_id: seen for run_id, seen in self._seen.items() if run_id in there or seen.since_ns >= began_ns
        }
        for lease in leases:
            seen = self._seen.get(lease.run_id)
            if seen is None or seen.since_ns < began_ns:
                self._note(lease)

    def _note(self, lease: HeldLease) -> None:
        """Stamped now, when the answer has come: it stood before, never since later."""
        now_ns, seen = self._clock.monotonic_ns(), self._seen.get(lease.run_id)
        if seen is None or seen.lease.fence != lease.fence:
            self._seen[lease.run_id] = _Seen(lease, now_ns, now_ns)
        elif seen.lease != lease:
            self._seen[lease.run_id] = _Seen(lease, now_ns, seen.held_since_ns)

    def unchanged(self, longer_than: timedelta) -> list[HeldLease]:
        """Leases that have stood so long, the longest first."""
        limit_ns = self._clock.monotonic_ns() - _ns(longer_than)
        found = [seen for seen in self._seen.values() if seen.since_ns < limit_ns]
        return [seen.lease for seen in sorted(found, key=lambda one: one.since_ns)]

    def held(self, run: Run) -> timedelta:
        """How long its attempt has been seen to hold the run; zero where it was not seen yet."""
        seen = self._seen.get(run.id)
        if seen is None or seen.lease.fence != run.status.fence:
            return timedelta(0)
        return timedelta(microseconds=(self._clock.monotonic_ns() - seen.held_since_ns) // 1000)


def _ns(time: timedelta) -> int:
    return time // timedelta(microseconds=1) * 1000
