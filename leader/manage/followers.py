"""The leader's list of followers."""

import builtins
from datetime import datetime
from typing import Final

import structlog

from leader.broker.protocol import Bell, bell_queue
from leader.manage import clocks
from leader.manage.moves import Move, Mover
from leader.manage.names import require_free
from leader.manage.policy import LeasePolicy
from leader.manage.roster import Roster
from leader.manage.views import follower_view, is_alive
from leader.perfdb.entities import Follower, Run
from leader.perfdb.protocol import PerfDB
from shared.clock import Clock
from shared.errors import Conflict, NotFound, Unavailable
from shared.jobs.lifecycle import Cause, requeue
from shared.wire.identity import Heartbeat, Registration, RegistrationAnswer
from shared.wire.views import FollowerView

TRIES: Final = 10
"""Of a registration that another one of the same name, or a heartbeat of the one before, keeps overtaking."""

log = structlog.get_logger(__name__)


class Followers:
    """Registration, heartbeats, the list."""

    def __init__(
        self,
        *,
        perfdb: PerfDB,
        roster: Roster,
        mover: Mover,
        bell: Bell,
        clock: Clock,
        policy: LeasePolicy,
        broker_url: str | None,
    ) -> None:
        self._db = perfdb
        self._roster = roster
        self._mover = mover
        self._bell = bell
        self._clock = clock
        self._policy = policy
        self._broker_url = broker_url
        self._clocks_off: set[str] = set()

    async def register(self, registration: Registration) -> RegistrationAnswer:
        """Remember the follower. A new incarnation voids the leases of the older one: their runs are requeued.

        Raises:
            Conflict: another agent goes by this name, and was heard of within the lease or still holds one.
            Unavailable.
        """
        for _ in range(TRIES):
            now = self._clock.utc_now()
            known = await self._known(registration.name)
            if known is not None:
                leased = await self._db.runs.leased_to(registration.name)
                leases = [run.status.lease for run in leased if run.status.lease]
                require_free(known, registration, leases, now, self._policy)
            offset = self._offset(registration.name, registration.utc_now, now)
            if await self._db.followers.put(registration, at=now, replacing=known, clock_offset_s=offset):
                break
        else:
            raise Unavailable(f"follower {registration.name!r} is registered by too many at once; try again")
        self._roster.forget()
        await self._void_older(registration, known)
        return RegistrationAnswer(
            follower=registration.name,
            lease_s=self._policy.lease.total_seconds(),
            heartbeat_s=self._policy.heartbeat_s,
            poll_s=self._policy.poll_s,
            broker_url=self._broker_url,
            bell_queue=bell_queue(registration.name),
        )

    async def _known(self, name: str) -> Follower | None:
        try:
            return await self._db.followers.get(name)
        except NotFound:
            return None

    async def _void_older(self, registration: Registration, known: Follower | None) -> None:
        stopped = known.registration.incarnation if known is not None and known.left else None

        def decide(run: Run) -> Move | None:
            lease = run.status.lease
            if lease is None or lease.follower != registration.name or lease.incarnation == registration.incarnation:
                return None
            detail = f"{registration.name} was started anew"
            cause = Cause.FOLLOWER_STOPPED if lease.incarnation == stopped else Cause.FOLLOWER_DIED
            return Move.to(requeue(run.status, cause, detail, self._clock.utc_now()))

        voided = [
            run.id
            for run in await self._db.runs.leased_to(registration.name)
            if (await self._mover.move(run.id, decide))[1]
        ]
        if voided:
            log.info("leases.voided", follower=registration.name, runs=voided)
            await self.ring_all()

    async def heartbeat(self, name: str, beat: Heartbeat) -> None:
        """It is alive. Raises NotFound (register first), Conflict where another incarnation is registered."""
        now = self._clock.utc_now()
        if not await self._db.followers.touch(
            name,
            incarnation=beat.incarnation,
            at=now,
            busy_slots=beat.busy_slots,
            clock_offset_s=self._offset(name, beat.utc_now, now),
            left=beat.leaving,
        ):
            await self._db.followers.get(name)
            raise Conflict(f"another incarnation of follower {name!r} is registered; register again")
        if beat.leaving:
            self._roster.forget()
            log.info("follower.left", follower=name)

    def _offset(self, name: str, told: datetime | None, now: datetime) -> float | None:
        """How far the follower's wall clock is off; said once, when it begins to be too far."""
        offset = clocks.offset_s(told, now)
        if offset is None or not clocks.is_off(offset):
            self._clocks_off.discard(name)
        elif name not in self._clocks_off:
            self._clocks_off.add(name)
            log.warning("follower.clock_off", follower=name, offset_s=round(offset, 1), clock=clocks.in_words(offset))
        return offset

    async def clock_offset_s(self, name: str) -> float | None:
        """The leader's clock minus this follower's, when it was last heard of; None where that is not known."""
        known = (follower for follower in await self._roster.recent() if follower.registration.name == name)
        return next((follower.clock_offset_s for follower in known), None)

    async def cordon(self, name: str, *, cordoned: bool) -> FollowerView:
        """A cordoned follower finishes what it has and is given nothing new, also after a restart. Raises NotFound."""
        await self._db.followers.cordon(name, cordoned=cordoned)
        self._roster.forget()
        if not cordoned:
            self._bell.ring(name)
        log.info("follower.cordoned" if cordoned else "follower.uncordoned", follower=name)
        return next(view for view in await self.list() if view.name == name)

    async def list(self) -> tuple[FollowerView, ...]:
        """By name; ``alive``: heard of within the lease."""
        now = self._clock.utc_now()
        views = []
        for follower in await self._db.followers.all():
            running = await self._db.runs.leased_to(follower.registration.name)
            alive = is_alive(follower, now, self._policy.lease)
            views.append(follower_view(follower, tuple(sorted(run.id for run in running)), alive=alive))
        return tuple(views)

    async def ring_all(self) -> None:
        """Tell every follower that is alive that there may be work."""
        for name in await self._alive():
            self._bell.ring(name)

    async def _alive(self) -> builtins.list[str]:
        now, lease = self._clock.utc_now(), self._policy.lease
        return [f.registration.name for f in await self._roster.recent() if is_alive(f, now, lease)]
