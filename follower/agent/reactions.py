"""What each event changes in what the agent knows. Nothing here acts."""

from collections.abc import Callable
from dataclasses import replace
from functools import singledispatch
from typing import Final

from follower.agent import events
from follower.agent.events import AttemptKey
from follower.agent.state import (
    MOST_PROGRESS,
    RENEWAL_RETRY_NS,
    SECOND_NS,
    AgentState,
    Held,
    Lease,
    Phase,
    Retry,
    SlotClock,
    Stage,
)
from follower.attempt.budget import wall_cap_ns
from shared.jobs.lifecycle import Cause
from shared.wire.assignment import Assignment, Failure

STOP_GRACE_NS: Final = 5 * SECOND_NS
"""For saying good-bye: killing the attempts and telling the leader, so that it need not wait for the lease."""
GIVE_UP_SLACK_NS: Final = 15 * SECOND_NS
"""An attempt watches its own cap; the agent only catches one that is too stuck to."""
STOPPED: Final = Failure(cause=Cause.FOLLOWER_STOPPED, detail="the follower was stopped during the attempt")


@singledispatch
def react(event: object, state: AgentState, now_ns: int) -> AgentState:
    """The state after ``event``."""
    raise TypeError(f"not an event: {event!r} at {now_ns} in {state.phase}")


@react.register
def _started(event: events.Started, state: AgentState, now_ns: int) -> AgentState:
    for key in event.leftovers:
        state = state.with_attempt(Held(key=key, stage=Stage.DELIVERING, send=Retry(now_ns)))
    return replace(state, register=Retry(now_ns))


@react.register
def _registered(event: events.Registered, state: AgentState, now_ns: int) -> AgentState:
    state = replace(state, rules=event.answer, registering=False, register=Retry(now_ns))
    if state.phase is not Phase.REGISTERING:
        return state
    slots = {name: replace(clock, ask=Retry(now_ns)) for name, clock in state.slots.items()}
    beat_at_ns = now_ns + round(event.answer.heartbeat_s * SECOND_NS)
    return replace(state, phase=Phase.SERVING, slots=slots, beat_at_ns=beat_at_ns)


@react.register
def _bell(_event: events.Bell, state: AgentState, now_ns: int) -> AgentState:
    for name, clock in state.slots.items():
        ask = clock.ask if clock.asking else replace(clock.ask, at_ns=min(clock.ask.at_ns, now_ns))
        state = state.with_slot(name, replace(clock, rung=clock.asking, ask=ask))
    for held in state.attempts.values():
        if held.lease:
            state = state.with_attempt(replace(held, lease=held.lease.hear_bell(now_ns)))
    return state


@react.register
def _tick(_event: events.Tick, state: AgentState, _now_ns: int) -> AgentState:
    return state


@react.register
def _claim_answered(event: events.ClaimAnswered, state: AgentState, now_ns: int) -> AgentState:
    clock = state.slots[event.slot]
    if not clock.asking:
        return state
    state, ask = _next_poll(state, now_ns, at_once=clock.rung or event.assignment is not None)
    state = state.with_slot(event.slot, SlotClock(ask=ask))
    if event.assignment is None:
        return state
    return _take(event, event.assignment, state, now_ns)


def _take(event: events.ClaimAnswered, assignment: Assignment, state: AgentState, now_ns: int) -> AgentState:
    key = AttemptKey(assignment.run_id, assignment.attempt, assignment.fence)
    lease = Lease.granted(event.sent_at_ns, assignment.lease_s)
    if key in state.attempts or event.slot in state.busy_slots or lease.stop_at_ns <= now_ns:
        return state
    held = Held(
        key=key,
        stage=Stage.CLAIMED,
        slot=event.slot,
        assignment=assignment,
        lease=lease,
        give_up_at_ns=now_ns + wall_cap_ns(assignment) + GIVE_UP_SLACK_NS,
    )
    return state.with_attempt(held if state.phase is not Phase.STOPPING else held.killed_for("stopped", STOPPED))


@react.register
def _claim_failed(event: events.ClaimFailed, state: AgentState, now_ns: int) -> AgentState:
    clock = state.slots[event.slot]
    state, dice = state.roll()
    return state.with_slot(event.slot, SlotClock(ask=clock.ask.failed(now_ns, dice)))


def _next_poll(state: AgentState, now_ns: int, *, at_once: bool) -> tuple[AgentState, Retry]:
    if at_once or state.rules is None:
        return state, Retry(now_ns)
    state, dice = state.roll()
    return state, Retry(now_ns + round(state.rules.poll_s * SECOND_NS * (0.75 + 0.5 * dice)) if state.rules else 0)


@react.register
def _lease_renewed(event: events.LeaseRenewed, state: AgentState, _now_ns: int) -> AgentState:
    def renewed(held: Held) -> Held:
        if held.lease is None:
            return held
        return replace(held, lease=Lease.granted(event.sent_at_ns, event.lease_s, rung=held.lease.rung))

    return _change(state, event.key, renewed)


@react.register
def _renewal_failed(event: events.RenewalFailed, state: AgentState, now_ns: int) -> AgentState:
    def again(held: Held) -> Held:
        if held.lease is None:
            return held
        return replace(held, lease=replace(held.lease, in_flight=False, renew_at_ns=now_ns + RENEWAL_RETRY_NS))

    return _change(state, event.key, again)


@react.register
def _lease_refused(event: events.LeaseRefused, state: AgentState, _now_ns: int) -> AgentState:
    def superseded(held: Held) -> Held:
        if held.stage in {Stage.CLAIMED, Stage.RUNNING}:
            return held.killed_for("superseded")
        return replace(held, lease=None)

    return _change(state, event.key, superseded)


@react.register
def _progressed(event: events.AttemptProgressed, state: AgentState, _now_ns: int) -> AgentState:
    return _change(
        state, event.key, lambda held: replace(held, progress=(*held.progress, event.event)[-MOST_PROGRESS:])
    )


@react.register
def _progress_delivered(event: events.ProgressDelivered, state: AgentState, now_ns: int) -> AgentState:
    def told(held: Held) -> Held:
        left = tuple(item for item in held.progress if item.n > event.last_n)
        return replace(held, progress=left, telling=False, tell=Retry(now_ns))

    return _change(state, event.key, told)


@react.register
def _progress_failed(event: events.ProgressFailed, state: AgentState, now_ns: int) -> AgentState:
    state, dice = state.roll()
    return _change(state, event.key, lambda held: replace(held, telling=False, tell=held.tell.failed(now_ns, dice)))


@react.register
def _exited(event: events.AttemptExited, state: AgentState, now_ns: int) -> AgentState:
    def over(held: Held) -> Held:
        if not held.has_process:
            return held
        failure = held.failure if held.stage is Stage.KILLING else event.failure
        stage = Stage.DONE if held.stage is Stage.KILLING and failure is None else Stage.DELIVERING
        return replace(held, stage=stage, failure=failure, send=Retry(now_ns))

    return _change(state, event.key, over)


@react.register
def _result_delivered(event: events.ResultDelivered, state: AgentState, _now_ns: int) -> AgentState:
    return _change(state, event.key, lambda held: replace(held, stage=Stage.DONE, sending=False))


@react.register
def _result_refused(event: events.ResultRefused, state: AgentState, _now_ns: int) -> AgentState:
    return _change(state, event.key, lambda held: replace(held, stage=Stage.DONE, sending=False))


@react.register
def _delivery_failed(event: events.DeliveryFailed, state: AgentState, now_ns: int) -> AgentState:
    state, dice = state.roll()
    if state.phase is Phase.STOPPING:
        # it stays on disk for the next incarnation; and nobody hears a farewell
        return replace(state.without_attempt(event.key), farewell=False)
    return _change(state, event.key, lambda held: replace(held, sending=False, send=held.send.failed(now_ns, dice)))


@react.register
def _beaten(event: events.Beaten, state: AgentState, now_ns: int) -> AgentState:
    forgotten = not event.known and state.phase is Phase.SERVING
    return replace(
        _next_beat(state, now_ns),
        phase=Phase.REGISTERING if forgotten else state.phase,
        register=Retry(now_ns) if forgotten else state.register,
    )


def _next_beat(state: AgentState, now_ns: int) -> AgentState:
    heartbeat_s = state.rules.heartbeat_s if state.rules else 1.0
    return replace(state, beating=False, beat_at_ns=now_ns + round(heartbeat_s * SECOND_NS))


@react.register
def _call_failed(event: events.CallFailed, state: AgentState, now_ns: int) -> AgentState:
    if event.call == "heartbeat":
        return _next_beat(state, now_ns)
    state, dice = state.roll()
    return replace(state, registering=False, register=state.register.failed(now_ns, dice))


@react.register
def _shut_out(event: events.ShutOut, state: AgentState, now_ns: int) -> AgentState:
    return _stop(replace(state, beating=False, farewell=False), now_ns, error=event.reason, last_word=None)


@react.register
def _stop_requested(_event: events.StopRequested, state: AgentState, now_ns: int) -> AgentState:
    if state.phase is Phase.STOPPING:
        return replace(state, stop_at_ns=now_ns)
    state = replace(state, farewell=state.phase is Phase.SERVING)
    return _stop(state, now_ns, error=None, last_word=STOPPED)


def _stop(state: AgentState, now_ns: int, *, error: str | None, last_word: Failure | None) -> AgentState:
    if state.phase is Phase.STOPPED:
        return state
    for held in state.attempts.values():
        if held.stage in {Stage.CLAIMED, Stage.RUNNING}:
            state = state.with_attempt(held.killed_for("stopped", last_word))
        elif held.stage is Stage.DELIVERING and last_word is None:
            state = state.without_attempt(held.key)
    return replace(
        state,
        phase=Phase.STOPPING,
        stop_at_ns=state.stop_at_ns or now_ns + STOP_GRACE_NS,
        exit_error=state.exit_error or error,
    )


def _change(state: AgentState, key: AttemptKey, change: Callable[[Held], Held]) -> AgentState:
    """Apply ``change`` to an attempt; news of one that is no longer ours is no news."""
    held = state.attempts.get(key)
    return state if held is None else state.with_attempt(change(held))
