"""Who cannot renew stops in time: for any lease and any network the kill comes before the leader may requeue."""

import heapq
import itertools
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.assignments import assignment

from follower.agent import events
from follower.agent.duties import step
from follower.agent.events import AttemptKey, Event, Instruction
from follower.agent.leader import CALL_TIMEOUT_S
from follower.agent.reap import DEATH_S
from follower.agent.state import AgentState, SlotClock
from leader.manage.policy import LeasePolicy
from shared.wire.assignment import ProgressEvent
from shared.wire.identity import RegistrationAnswer

S = 1_000_000_000
GRACE_NS = round(LeasePolicy().grace.total_seconds() * S)
TASK = assignment()
KEY = AttemptKey(TASK.run_id, TASK.attempt, TASK.fence)
NEWS = ProgressEvent.model_validate({"n": 1, "at": "2026-01-01T00:00:00Z", "kind": "ready", "message": ""})
OTHERWISE: tuple[Event, ...] = (
    events.Bell(),
    events.Tick(),
    events.AttemptProgressed(KEY, NEWS),
    events.Beaten(known=True),
    events.CallFailed("heartbeat"),
    events.ProgressFailed(KEY),
)


@dataclass(frozen=True)
class Fate:
    """What becomes of one call: when the leader has it and when its answer is back; None: never."""

    there_ns: int | None
    back_ns: int | None


def fates(lease_s: float) -> st.SearchStrategy[list[Fate]]:
    """Some calls in their order; all after them are lost. Answers may take longer than anybody waits."""
    longest_ns = round(1.5 * min(CALL_TIMEOUT_S, lease_s) * S)
    some_ns = st.none() | st.integers(0, longest_ns) | st.integers(0, 50_000_000)
    return st.lists(st.builds(Fate, some_ns, some_ns), max_size=12)


@dataclass
class World:
    """One attempt, from its claim until it is killed, between its agent and a leader that keeps its own clock."""

    lease_ns: int
    fates: list[Fate]
    late_ns: int  # by so much the agent's loop wakes too late
    state: AgentState = field(default_factory=lambda: AgentState(slots={"cpu": SlotClock()}))
    now_ns: int = 0
    taken: list[int] = field(default_factory=list)  # when the leader had the claim, and each renewal
    killed_ns: int | None = None
    kill_reason: str = ""
    started: bool = False
    wake_ns: int = 0
    coming: list[tuple[int, int, Event]] = field(default_factory=list)
    numbers: Any = field(default_factory=itertools.count)

    def later(self, at_ns: int, event: Event) -> None:
        heapq.heappush(self.coming, (at_ns, next(self.numbers), event))

    def feed(self, event: Event) -> None:
        self.state, instructions = step(self.state, event, self.now_ns)
        for instruction in instructions:
            self.obey(instruction)

    def obey(self, instruction: Instruction) -> None:
        match instruction:
            case events.WaitUntil(at_ns):
                self.wake_ns = at_ns + self.late_ns
            case events.StartAttempt():
                self.started = True
            case events.KillAttempt(_, reason):
                self.killed_ns, self.kill_reason = self.now_ns, reason
            case events.RenewLease():
                self.renew()

    def renew(self) -> None:
        """As ``Calls.renew``: it waits for an answer a third of the lease at most."""
        patience_ns = min(round(CALL_TIMEOUT_S * S), self.lease_ns // 3)
        fate = self.fates.pop(0) if self.fates else Fate(None, None)
        taken_ns = None if fate.there_ns is None else self.now_ns + fate.there_ns
        if taken_ns is not None:
            self.taken.append(taken_ns)
        in_time = fate.there_ns is not None and fate.back_ns is not None and fate.there_ns + fate.back_ns <= patience_ns
        if in_time and fate.there_ns is not None and fate.back_ns is not None:
            renewed = events.LeaseRenewed(KEY, self.now_ns, self.lease_ns / S)
            self.later(self.now_ns + fate.there_ns + fate.back_ns, renewed)
        else:
            self.later(self.now_ns + patience_ns, events.RenewalFailed(KEY))

    def run(self, claim: Fate, disturbances: list[tuple[int, Event]]) -> None:
        """Claim, and go on until the attempt is killed."""
        lease_s = self.lease_ns / S
        rules = RegistrationAnswer(
            follower="f", lease_s=lease_s, heartbeat_s=lease_s / 3, poll_s=2, broker_url=None, bell_queue="q"
        )
        self.feed(events.Started())
        self.feed(events.Registered(rules))
        assert claim.there_ns is not None
        assert claim.back_ns is not None
        self.taken.append(claim.there_ns)
        given_to_us = TASK.model_copy(update={"lease_s": lease_s})
        self.later(claim.there_ns + claim.back_ns, events.ClaimAnswered("cpu", 0, given_to_us))
        for at_ns, event in disturbances:
            self.later(at_ns, event)
        while self.killed_ns is None and (self.started or self.coming):
            self.turn()

    def turn(self) -> None:
        """The next thing that happens: an event, or the time for which the agent waited."""
        if self.coming and self.coming[0][0] <= max(self.wake_ns, self.now_ns):
            at_ns, _, event = heapq.heappop(self.coming)
            self.now_ns = max(self.now_ns, at_ns)
            self.feed(event)
        else:
            self.now_ns = max(self.now_ns, self.wake_ns)
            self.feed(events.Tick())

    def lease_ends_ns(self, at_ns: int) -> int:
        """At the leader, as far as it had heard by then."""
        return max(taken_ns for taken_ns in self.taken if taken_ns <= at_ns) + self.lease_ns


def margin_ns(lease_s: float) -> int:
    """What the documents promise: 3 s, a fifth of a lease under 15 s."""
    return round(min(3.0, lease_s / 5) * S)


@given(data=st.data(), lease_s=st.floats(1, 60) | st.sampled_from([1.0, 3.0, 15.0, 3600.0]))
@settings(max_examples=400, deadline=None)
def test_the_kill_comes_with_margin_and_grace_before_the_leader_may_requeue(
    data: st.DataObject, lease_s: float
) -> None:
    """Lost calls, lost answers and slow ones, in any order; all that is taken off is what the loop itself wakes late.

    The leader's count begins when it has the call, the agent's before the call is sent.
    """
    some_ns = st.integers(0, round(0.7 * min(CALL_TIMEOUT_S, lease_s) * S))
    late_ns = data.draw(st.integers(0, 20_000_000), label="late_ns")
    world = World(lease_ns=round(lease_s * S), fates=data.draw(fates(lease_s)), late_ns=late_ns)
    horizon_ns = round(4 * lease_s * S)
    disturbances = data.draw(
        st.lists(st.tuples(st.integers(0, horizon_ns), st.sampled_from(OTHERWISE)), max_size=8), label="disturbances"
    )
    world.run(data.draw(st.builds(Fate, some_ns, some_ns), label="claim"), disturbances)
    if not world.started:
        return
    assert world.killed_ns is not None
    requeue_ns = world.lease_ends_ns(world.killed_ns) + GRACE_NS
    assert world.killed_ns + margin_ns(lease_s) + GRACE_NS <= requeue_ns + late_ns + 1


@given(lease_s=st.floats(1, 3600), there_ms=st.integers(0, 300), back_ms=st.integers(0, 300))
@settings(deadline=None)
def test_an_answered_attempt_is_never_killed(lease_s: float, there_ms: int, back_ms: int) -> None:
    """Where every renewal is answered, however slowly within reason, the attempt goes on: no lease is too short."""
    scale = min(1.0, lease_s / 3)
    fate = Fate(round(there_ms * scale * 1_000_000), round(back_ms * scale * 1_000_000))
    world = World(lease_ns=round(lease_s * S), fates=[fate] * 30, late_ns=0)
    world.run(fate, [])
    assert world.fates == [] or world.kill_reason == "timed-out"  # the thirty answers were used, or its time was


def test_a_killed_process_has_the_time_to_die() -> None:
    """Between the order to kill and the first moment at which another may get the run: margin and grace.

    That is 6 s from a lease of 15 s up, more than a killed process is waited for, and never under 3.2 s.
    """
    policy = LeasePolicy()
    usual_s = (margin_ns(policy.lease.total_seconds()) + GRACE_NS) / S
    assert usual_s == pytest.approx(6.0)
    assert usual_s > DEATH_S
    assert (margin_ns(1.0) + GRACE_NS) / S == pytest.approx(3.2)
