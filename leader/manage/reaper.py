"""Takes runs back from followers that went silent, and ends those whose time is up."""

from datetime import datetime, timedelta
from typing import Final

import structlog

from leader.broker.protocol import Bell
from leader.manage.followers import Followers
from leader.manage.limits import cap_of, outlived
from leader.manage.lineup import Lineup
from leader.manage.moves import Move, Mover
from leader.manage.policy import LeasePolicy
from leader.manage.vigil import Vigil
from leader.perfdb.entities import HeldLease, Run
from leader.perfdb.protocol import PerfDB
from shared.clock import Clock
from shared.jobs.lifecycle import Cause, requeue

BATCH: Final = 100

log = structlog.get_logger(__name__)


def overdue(run: Run, silent: HeldLease, now: datetime) -> Move | None:
    """Requeue (or end) a run whose lease is still the one that stood for too long; None leaves it. Pure."""
    lease = run.status.lease
    if lease is None or (run.status.fence, lease.expires_at) != (silent.fence, silent.expires_at):
        return None
    detail = f"{lease.follower} did not renew its lease of attempt {run.status.attempt}"
    return Move.to(requeue(run.status, Cause.LEASE_EXPIRED, detail, now))


class Reaper:
    """The thin loop around ``overdue`` and ``outlived``."""

    def __init__(
        self,
        *,
        perfdb: PerfDB,
        mover: Mover,
        followers: Followers,
        lineup: Lineup,
        bell: Bell,
        clock: Clock,
        policy: LeasePolicy,
        vigil: Vigil,
    ) -> None:
        self._db = perfdb
        self._mover = mover
        self._followers = followers
        self._lineup = lineup
        self._bell = bell
        self._clock = clock
        self._policy = policy
        self._vigil = vigil
        self._caps: dict[str, timedelta] = {}  # of live runs

    async def run_once(self) -> int:
        """One round; returns how many runs were taken back or ended. Raises Unavailable."""
        began_ns = self._clock.monotonic_ns()
        self._vigil.look(await self._db.runs.leases(), began_ns=began_ns)
        now = self._clock.utc_now()
        silent = self._vigil.unchanged(self._policy.lease + self._policy.grace)[:BATCH]
        taken = [lease.run_id for lease in silent if await self._take_back(lease, now)]
        ended = [run_id for run_id in self._late(now)[:BATCH] if await self._end(run_id, now)]
        if ended:
            log.info("runs.out_of_time", runs=ended)
        if taken:
            log.info("leases.expired", runs=taken)
            await self._followers.ring_all()
        return len(taken) + len(ended)

    async def _take_back(self, silent: HeldLease, now: datetime) -> bool:
        _, moved = await self._mover.move(silent.run_id, lambda found: overdue(found, silent, now))
        return moved

    def _late(self, now: datetime) -> list[str]:
        """By what is in memory; what is stored decides."""
        live = self._lineup.live
        self._caps = {run.id: self._caps.get(run.id) or cap_of(run) for run in live}
        late = [run.id for run in live if outlived(run, now, self._caps[run.id], self._vigil.held(run))]
        return self._lineup.past_deadline(now) + late

    async def _end(self, run_id: str, now: datetime) -> bool:
        run, moved = await self._mover.move(
            run_id, lambda found: outlived(found, now, cap_of(found), self._vigil.held(found))
        )
        if not moved:
            self._lineup.moved(run)  # what is in memory was old
        elif run.follower:
            self._bell.ring(run.follower)  # should it hold the run, it asks about its lease at once
        return moved
