"""The followers' side of the queue: claim, renew, report, deliver. PerfDB is the queue."""

from collections.abc import AsyncIterator
from typing import Literal

import structlog

from leader.manage.clocks import on_our_clock
from leader.manage.delivery import Delivery
from leader.manage.dispatch import Dispatcher
from leader.manage.events import MAX_PROGRESS_N
from leader.manage.followers import Followers
from leader.manage.moves import Listeners, Move, Mover
from leader.manage.policy import LeasePolicy
from leader.manage.rights import require_current
from leader.perfdb.entities import Event, Follower, Run
from leader.perfdb.protocol import PerfDB
from shared.clock import Clock
from shared.errors import Conflict, InvalidInput
from shared.jobs import lifecycle
from shared.jobs.lifecycle import RunState
from shared.jobs.spec import RunSpec
from shared.wire.assignment import (
    Artifact,
    Assignment,
    Claim,
    LeaseAnswer,
    LeaseCall,
    Progress,
    Result,
    ResultAnswer,
)
from shared.wire.identity import Slot

log = structlog.get_logger(__name__)


class Queue:
    """What a follower may do with runs."""

    def __init__(
        self,
        *,
        perfdb: PerfDB,
        mover: Mover,
        delivery: Delivery,
        dispatcher: Dispatcher,
        followers: Followers,
        listeners: Listeners,
        clock: Clock,
        policy: LeasePolicy,
    ) -> None:
        self._db = perfdb
        self._mover = mover
        self._delivery = delivery
        self._dispatcher = dispatcher
        self._followers = followers
        self._listeners = listeners
        self._clock = clock
        self._policy = policy

    async def claim(self, follower: str, claim: Claim) -> Assignment | None:
        """The run that this slot should execute, leased to it; None where there is nothing for it.

        A claim whose answer got lost may be sent again: the same run comes back while nothing was started.

        Raises:
            NotFound: the follower is not registered.
            Conflict: another incarnation of it is, or it has no such slot.
        """
        known = await self._db.followers.get(follower)
        slot = _slot_of(known, claim)
        held = await self._held(follower, slot)
        if held is not None:
            return await self._once_more(held, claim)
        run = await self._dispatcher.next_run(known, slot)
        return self._assignment(run) if run else None

    async def _held(self, follower: str, slot: Slot) -> Run | None:
        """What the slot holds already."""
        held = await self._db.runs.leased_to(follower)
        return next((run for run in held if run.status.lease and run.status.lease.slot == slot.name), None)

    async def _once_more(self, held: Run, claim: Claim) -> Assignment | None:
        """The assignment whose answer got lost; None while an attempt runs, or one of an older incarnation is due."""
        lease = held.status.lease
        if held.status.state is not RunState.CLAIMED or lease is None or lease.incarnation != claim.incarnation:
            return None
        renewed = lifecycle.renew(held.status, self._clock.utc_now() + self._policy.lease)
        run = await self._mover.try_once(held, Move.to(renewed))
        return self._assignment(run) if run else None

    def _assignment(self, run: Run) -> Assignment:
        return Assignment(
            run_id=run.id,
            job_id=run.job_id,
            attempt=run.status.attempt,
            fence=run.status.fence,
            lease_s=self._policy.lease.total_seconds(),
            spec=RunSpec.model_validate(run.spec),
            model=run.model,
            dataset=run.dataset,
            trace=run.trace,
        )

    async def renew(self, follower: str, run_id: str, call: LeaseCall) -> LeaseAnswer:
        """Extend the lease; ``started`` also moves the run to running. Raises StaleFence, NotFound."""

        def decide(run: Run) -> Move:
            require_current(run, follower, call.incarnation, call.attempt, call.fence)
            status = lifecycle.start(run.status) if call.started else run.status
            return Move.to(lifecycle.renew(status, self._clock.utc_now() + self._policy.lease))

        await self._mover.move(run_id, decide)
        return LeaseAnswer(lease_s=self._policy.lease.total_seconds())

    async def progress(self, follower: str, run_id: str, progress: Progress) -> None:
        """Store events, idempotently by their ``n``. Raises StaleFence, NotFound, InvalidInput."""
        run = await self._db.runs.get(run_id)
        require_current(run, follower, progress.incarnation, progress.attempt, progress.fence)
        if any(event.n > MAX_PROGRESS_N for event in progress.events):
            raise InvalidInput(f"an attempt has at most {MAX_PROGRESS_N} events")
        offset_s = await self._followers.clock_offset_s(follower)
        await self._db.events.append(
            [
                Event(
                    run_id=run_id,
                    fence=progress.fence,
                    n=event.n,
                    at=on_our_clock(event.at, offset_s),
                    kind=event.kind,
                    message=event.message,
                    data=event.data,
                )
                for event in progress.events
            ]
        )
        self._listeners.notify(run_id)

    async def store_artifact(
        self,
        follower: str,
        run_id: str,
        kind: Literal["samples", "log"],
        *,
        attempt: int,
        fence: int,
        sha256: str,
        chunks: AsyncIterator[bytes],
    ) -> Artifact:
        """Keep a file of the attempt. Raises StaleFence, NotFound, InvalidInput (digest), TooLarge."""
        return await self._delivery.store_artifact(
            follower, run_id, kind, attempt=attempt, fence=fence, sha256=sha256, chunks=chunks
        )

    async def deliver(self, follower: str, run_id: str, result: Result) -> ResultAnswer:
        """Keep the result as evidence and end the attempt with it, if its fence is the current one.

        The same result again gets the same answer. A late one is kept and answered with ``accepted`` false.

        Raises:
            StaleFence: this attempt was never given to this follower.
            Conflict: the attempt had delivered something else.
            InvalidInput: the record is of another run, or an artifact was not uploaded.
        """
        return await self._delivery.deliver(follower, run_id, result)


def _slot_of(follower: Follower, claim: Claim) -> Slot:
    registration = follower.registration
    if registration.incarnation != claim.incarnation:
        raise Conflict(f"another incarnation of follower {registration.name!r} is registered; register again")
    slot = next((slot for slot in registration.slots if slot.name == claim.slot), None)
    if slot is None:
        raise Conflict(f"follower {registration.name!r} has no slot {claim.slot!r}; register again")
    return slot
