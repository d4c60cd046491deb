"""Takes runs back from followers that went silent."""

from datetime import datetime, timedelta
from typing import Final

import structlog

from leader.manage.followers import Followers
from leader.manage.moves import Move, Mover
from leader.manage.policy import LeasePolicy
from leader.perfdb.entities import Run
from leader.perfdb.protocol import PerfDB
from shared.clock import Clock
from shared.jobs.lifecycle import Cause, is_expired, requeue

BATCH: Final = 100

log = structlog.get_logger(__name__)


def overdue(run: Run, now: datetime, grace: timedelta) -> Move | None:
    """Requeue (or lose) a run whose lease ended before ``now - grace``; None leaves it. Pure."""
    if not is_expired(run.status, now, grace) or run.status.lease is None:
        return None
    silent = f"{run.status.lease.follower} did not renew its lease of attempt {run.status.attempt}"
    return Move.to(requeue(run.status, Cause.LEASE_EXPIRED, silent, now))


class Reaper:
    """The thin loop around ``overdue``."""

    def __init__(
        self, *, perfdb: PerfDB, mover: Mover, followers: Followers, clock: Clock, policy: LeasePolicy
    ) -> None:
        self._db = perfdb
        self._mover = mover
        self._followers = followers
        self._clock = clock
        self._policy = policy

    async def run_once(self) -> int:
        """One round; returns how many runs were taken back. Raises Unavailable."""
        now = self._clock.utc_now()
        silent = await self._db.runs.expired(before=now - self._policy.grace, limit=BATCH)
        taken = [run for run in silent if await self._take_back(run, now)]
        if taken:
            log.info("leases.expired", runs=[run.id for run in taken])
            await self._followers.ring_all()
        return len(taken)

    async def _take_back(self, run: Run, now: datetime) -> bool:
        _, moved = await self._mover.move(run.id, lambda found: overdue(found, now, self._policy.grace))
        return moved
