"""The leader's list of followers."""

import builtins

import structlog

from leader.broker.protocol import Bell, bell_queue
from leader.manage.moves import Move, Mover
from leader.manage.policy import LeasePolicy
from leader.manage.roster import Roster
from leader.manage.views import follower_view, is_alive
from leader.perfdb.entities import Run
from leader.perfdb.protocol import PerfDB
from shared.clock import Clock
from shared.errors import Conflict
from shared.jobs.lifecycle import Cause, requeue
from shared.wire.identity import Heartbeat, Registration, RegistrationAnswer
from shared.wire.views import FollowerView

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

    async def register(self, registration: Registration) -> RegistrationAnswer:
        """Remember the follower. A new incarnation voids the leases of the older one: their runs are requeued."""
        await self._db.followers.put(registration, at=self._clock.utc_now())
        self._roster.forget()
        await self._void_older(registration)
        return RegistrationAnswer(
            follower=registration.name,
            lease_s=self._policy.lease.total_seconds(),
            heartbeat_s=self._policy.heartbeat_s,
            poll_s=self._policy.poll_s,
            broker_url=self._broker_url,
            bell_queue=bell_queue(registration.name),
        )

    async def _void_older(self, registration: Registration) -> None:
        def decide(run: Run) -> Move | None:
            lease = run.status.lease
            if lease is None or lease.follower != registration.name or lease.incarnation == registration.incarnation:
                return None
            detail = f"{registration.name} was started anew"
            return Move.to(requeue(run.status, Cause.FOLLOWER_DIED, detail, self._clock.utc_now()))

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
        if not await self._db.followers.touch(name, incarnation=beat.incarnation, at=now, busy_slots=beat.busy_slots):
            await self._db.followers.get(name)
            raise Conflict(f"another incarnation of follower {name!r} is registered; register again")

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
