"""What is due, given what the agent knows and the time.

Every duty has one ``…_due_ns``: when it falls due, or None while it cannot. The same answer decides whether to act
now and how long the agent may sleep.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Final

from follower.agent import events
from follower.agent.events import Instruction
from follower.agent.reactions import react
from follower.agent.state import SECOND_NS, AgentState, Held, Lease, Phase, Stage
from shared.jobs.lifecycle import Cause
from shared.wire.assignment import Failure

Settled = tuple[AgentState, list[Instruction]]

LEFTOVER_TRIES: Final = 3
LONGEST_SLEEP_NS: Final = 60 * SECOND_NS
TIMED_OUT: Final = Failure(cause=Cause.TIMED_OUT, detail="the attempt outlived its time cap and did not stop itself")


def step(state: AgentState, event: events.Event, now_ns: int) -> tuple[AgentState, tuple[Instruction, ...]]:
    """Take note of ``event``, then do all that is due at ``now_ns``. Pure."""
    state = react(event, state, now_ns)
    instructions: list[Instruction] = []
    for duty in _DUTIES:
        state, due = duty(state, now_ns)
        instructions += due
    if state.phase is not Phase.STOPPED:
        instructions.append(events.WaitUntil(_next_due_ns(state, now_ns)))
    return state, tuple(instructions)


def _stop_in_time(state: AgentState, now_ns: int) -> Settled:
    """Self-stop: an attempt whose lease could not be renewed, or that takes far too long."""
    for held in state.attempts.values():
        if held.stage in {Stage.CLAIMED, Stage.RUNNING}:
            if held.lease is None or held.lease.stop_at_ns <= now_ns:
                state = state.with_attempt(held.killed_for("lease-lost"))
            elif held.give_up_at_ns is not None and held.give_up_at_ns <= now_ns:
                state = state.with_attempt(held.killed_for("timed-out", TIMED_OUT))
    return state, []


def _kill(state: AgentState, _now_ns: int) -> Settled:
    due: list[Instruction] = []
    for held in state.attempts.values():
        if held.stage is Stage.KILLING and not held.kill_ordered:
            state = state.with_attempt(replace(held, kill_ordered=True))
            due.append(events.KillAttempt(held.key, held.kill_reason or "", held.failure))
    return state, due


def _start(state: AgentState, now_ns: int) -> Settled:
    due: list[Instruction] = []
    for held in state.attempts.values():
        if held.stage is Stage.CLAIMED and held.lease and held.slot and held.assignment:
            lease = replace(held.lease, renew_at_ns=now_ns)  # tells the leader at once that it runs
            state = state.with_attempt(replace(held, stage=Stage.RUNNING, lease=lease))
            due.append(events.StartAttempt(held.key, held.slot, held.assignment))
    return state, due


def _forget(state: AgentState, _now_ns: int) -> Settled:
    done = [held.key for held in state.attempts.values() if held.stage is Stage.DONE]
    for key in done:
        state = state.without_attempt(key)
    return state, [events.Forget(key) for key in done]


def _register(state: AgentState, now_ns: int) -> Settled:
    if state.phase is Phase.LEFTOVERS and not _leftovers_hold_back(state):
        state = replace(state, phase=Phase.REGISTERING)
    if not _is_due(_register_due_ns(state), now_ns):
        return state, []
    return replace(state, registering=True), [events.Register()]


def _leftovers_hold_back(state: AgentState) -> bool:
    """Registering voids an older incarnation's leases, so its results get a few tries first."""
    return any(held.slot is None and held.send.failures < LEFTOVER_TRIES for held in state.attempts.values())


def _renew(state: AgentState, now_ns: int) -> Settled:
    due: list[Instruction] = []
    for held in state.attempts.values():
        if held.lease and _is_due(_renew_due_ns(held), now_ns):
            state = state.with_attempt(replace(held, lease=replace(held.lease, in_flight=True)))
            due.append(events.RenewLease(held.key, started=True))
    return state, due


def _tell(state: AgentState, now_ns: int) -> Settled:
    due: list[Instruction] = []
    for held in state.attempts.values():
        if _is_due(_tell_due_ns(held), now_ns):
            state = state.with_attempt(replace(held, telling=True))
            due.append(events.ForwardProgress(held.key, held.progress))
    return state, due


def _deliver(state: AgentState, now_ns: int) -> Settled:
    due: list[Instruction] = []
    for held in state.attempts.values():
        if _is_due(_deliver_due_ns(held), now_ns):
            state = state.with_attempt(replace(held, sending=True))
            due.append(events.DeliverResult(held.key, held.failure))
    return state, due


def _ask(state: AgentState, now_ns: int) -> Settled:
    due: list[Instruction] = []
    for name, clock in state.slots.items():
        if _is_due(_ask_due_ns(state, name), now_ns):
            state = state.with_slot(name, replace(clock, asking=True, rung=False))
            due.append(events.AskForWork(name))
    return state, due


def _beat(state: AgentState, now_ns: int) -> Settled:
    if not _is_due(_beat_due_ns(state), now_ns):
        return state, []
    return replace(state, beating=True), [events.SendHeartbeat(state.busy_slots)]


def _exit(state: AgentState, now_ns: int) -> Settled:
    if state.phase is not Phase.STOPPING:
        return state, []
    waiting = bool(state.attempts) or any(clock.asking for clock in state.slots.values())
    if state.stop_at_ns is not None and now_ns < state.stop_at_ns:
        if waiting or state.beating:
            return state, []
        if state.farewell:
            return replace(state, farewell=False, beating=True), [events.SendHeartbeat((), leaving=True)]
    return replace(state, phase=Phase.STOPPED), [events.Exit(state.exit_error)]


_DUTIES: Final[tuple[Callable[[AgentState, int], Settled], ...]] = (
    _stop_in_time, _kill, _start, _forget, _register, _renew, _tell, _deliver, _ask, _beat, _exit,
)  # fmt: skip
"""In this order: what frees a device before what takes one."""


def _is_due(due_ns: int | None, now_ns: int) -> bool:
    return due_ns is not None and due_ns <= now_ns


def _next_due_ns(state: AgentState, now_ns: int) -> int:
    due = [due_ns for due_ns in _all_due_ns(state) if due_ns is not None]
    return min([*due, now_ns + LONGEST_SLEEP_NS])


def _all_due_ns(state: AgentState) -> Iterator[int | None]:
    yield _register_due_ns(state)
    yield _beat_due_ns(state)
    yield state.stop_at_ns
    for name in state.slots:
        yield _ask_due_ns(state, name)
    for held in state.attempts.values():
        yield _stop_due_ns(held)
        yield _renew_due_ns(held)
        yield _tell_due_ns(held)
        yield _deliver_due_ns(held)


def _register_due_ns(state: AgentState) -> int | None:
    return state.register.at_ns if state.phase is Phase.REGISTERING and not state.registering else None


def _beat_due_ns(state: AgentState) -> int | None:
    return state.beat_at_ns if state.phase is Phase.SERVING and not state.beating else None


def _ask_due_ns(state: AgentState, slot: str) -> int | None:
    """A slot asks when it is free; and no attempt begins beside an upload, which would disturb it."""
    uploading = any(held.sending for held in state.attempts.values())
    blocked = state.phase is not Phase.SERVING or uploading or slot in state.busy_slots or state.slots[slot].asking
    return None if blocked else state.slots[slot].ask.at_ns


def _stop_due_ns(held: Held) -> int | None:
    if held.stage is not Stage.RUNNING or held.lease is None:
        return None
    return min(held.lease.stop_at_ns, held.give_up_at_ns or held.lease.stop_at_ns)


def _renew_due_ns(held: Held) -> int | None:
    lease: Lease | None = held.lease
    return lease.renew_at_ns if lease and not lease.in_flight else None


def _tell_due_ns(held: Held) -> int | None:
    return held.tell.at_ns if held.progress and not held.telling else None


def _deliver_due_ns(held: Held) -> int | None:
    """The story goes before the result, unless the story does not get through."""
    story_first = (held.progress or held.telling) and not held.tell.failures
    return held.send.at_ns if held.stage is Stage.DELIVERING and not held.sending and not story_first else None
