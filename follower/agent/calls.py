"""Each instruction that asks the leader something, as one call that answers with events and never raises."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import structlog

from follower.agent import events
from follower.agent.boot_clock import now_ns
from follower.agent.delivery import deliver
from follower.agent.events import Event
from follower.agent.leader import CALL_TIMEOUT_S, LeaderClient
from follower.attempt.order import AttemptDir
from shared.clock import SystemClock
from shared.errors import Conflict, Forbidden, InferBenchError, InvalidInput, NotFound, Unauthenticated, Unavailable
from shared.wire.assignment import Claim, LeaseCall, Progress
from shared.wire.identity import Heartbeat, Registration

log = structlog.get_logger()

Events = tuple[Event, ...]

_SHUT_OUT: Final = (Unauthenticated, Forbidden)


@dataclass(frozen=True)
class Calls:
    """The leader's side of the agent's instructions."""

    client: LeaderClient
    registration: Registration
    clock: Callable[[], int] = now_ns
    utc_now: Callable[[], datetime] = SystemClock().utc_now

    def register(self) -> Events:
        """Say who we are; what the leader finds wrong with that, time does not heal."""

        def call() -> Events:
            registration = self.registration.model_copy(update={"utc_now": self.utc_now()})
            try:
                return (events.Registered(self.client.register(registration)),)
            except (InvalidInput, NotFound, Conflict) as error:
                return (events.ShutOut(f"the leader refused the registration: {error.detail}"),)

        return _guarded(call, events.CallFailed("register"))

    def heartbeat(self, instruction: events.SendHeartbeat) -> Events:
        """Say that we live. 404: the leader has forgotten us; 409: another agent goes by our name."""

        def call() -> Events:
            beat = Heartbeat(
                incarnation=self._incarnation,
                busy_slots=instruction.busy_slots,
                utc_now=self.utc_now(),
                leaving=instruction.leaving,
            )
            try:
                self.client.heartbeat(beat)
            except NotFound:
                return (events.Beaten(known=False),)
            except Conflict as error:
                return (events.ShutOut(f"another agent took this follower's name: {error.detail}"),)
            return (events.Beaten(known=True),)

        return _guarded(call, events.CallFailed("heartbeat"))

    def claim(self, instruction: events.AskForWork) -> Events:
        """Ask for a run; the lease counts from before the question."""
        slot = instruction.slot
        sent_at_ns = self.clock()

        def call() -> Events:
            try:
                assignment = self.client.claim(Claim(incarnation=self._incarnation, slot=slot))
            except NotFound:
                return (events.ClaimFailed(slot), events.Beaten(known=False))
            return (events.ClaimAnswered(slot, sent_at_ns, assignment),)

        return _guarded(call, events.ClaimFailed(slot))

    def renew(self, instruction: events.RenewLease, lease_s: float) -> Events:
        """Ask for more time, and wait for the answer no longer than leaves room to ask again."""
        key = instruction.key
        sent_at_ns = self.clock()

        def call() -> Events:
            request = LeaseCall(
                incarnation=self._incarnation, attempt=key.attempt, fence=key.fence, started=instruction.started
            )
            try:
                answer = self.client.renew(key.run_id, request, timeout_s=min(CALL_TIMEOUT_S, lease_s / 3))
            except (Conflict, NotFound, InvalidInput) as error:
                log.info("lease-refused", attempt=str(key), reason=error.detail)
                return (events.LeaseRefused(key),)
            return (events.LeaseRenewed(key, sent_at_ns, answer.lease_s),)

        return _guarded(call, events.RenewalFailed(key))

    def progress(self, instruction: events.ForwardProgress) -> Events:
        """Tell the attempt's story so far."""
        key = instruction.key
        last_n = instruction.events[-1].n

        def call() -> Events:
            request = Progress(
                incarnation=self._incarnation, attempt=key.attempt, fence=key.fence, events=instruction.events
            )
            try:
                self.client.progress(key.run_id, request)
            except Conflict:
                return (events.LeaseRefused(key), events.ProgressDelivered(key, last_n))
            except (NotFound, InvalidInput) as error:
                log.warning("progress-refused", attempt=str(key), reason=error.detail)
            return (events.ProgressDelivered(key, last_n),)

        return _guarded(call, events.ProgressFailed(key))

    def deliver(self, instruction: events.DeliverResult, directory: AttemptDir) -> Events:
        """Upload the result."""
        key = instruction.key

        def call() -> Events:
            try:
                answer = deliver(self.client, key, directory, instruction.failure, self._incarnation)
            except (Conflict, NotFound, InvalidInput) as error:
                log.warning("result-refused", attempt=str(key), reason=error.detail)
                return (events.ResultRefused(key, error.detail),)
            log.info("result-delivered", attempt=str(key), accepted=answer.accepted, state=answer.state)
            return (events.ResultDelivered(key, answer.accepted),)

        return _guarded(call, events.DeliveryFailed(key))

    @property
    def _incarnation(self) -> str:
        return self.registration.incarnation


def _guarded(call: Callable[[], Events], no_answer: Event) -> Events:
    """``no_answer`` where there was none, beside what only a person can mend."""
    try:
        return call()
    except _SHUT_OUT as error:
        return (no_answer, events.ShutOut(f"the leader refuses this follower's token: {error.detail}"))
    except Unavailable as error:
        log.warning("leader-unavailable", failed=type(no_answer).__name__, reason=error.detail)
        return (no_answer,)
    except (InferBenchError, OSError) as error:
        log.exception("call-failed", failed=type(no_answer).__name__, reason=str(error))
        return (no_answer,)
