"""Laws of the agent that hold whatever happens, checked against a simulated leader, processes and clock."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from support.assignments import JOB, assignment

from follower.agent import events
from follower.agent.duties import step
from follower.agent.events import AttemptKey, Event, Instruction
from follower.agent.state import AgentState, SlotClock
from shared.jobs.lifecycle import Cause
from shared.wire.assignment import Assignment, Failure, ProgressEvent
from shared.wire.identity import RegistrationAnswer

S = 1_000_000_000
SLOTS = ("cpu", "gpu0")
RULES = RegistrationAnswer(
    follower="f", lease_s=15, heartbeat_s=5, poll_s=2, broker_url=None, bell_queue="inferbench.bell.f"
)
CALLS = (
    events.Register,
    events.SendHeartbeat,
    events.AskForWork,
    events.RenewLease,
    events.ForwardProgress,
    events.DeliverResult,
)


class AgentInAWorld(RuleBasedStateMachine):
    """The agent's machine between a leader, processes and a clock that behave as badly as they may."""

    def __init__(self) -> None:
        super().__init__()
        self.state = AgentState(slots={name: SlotClock() for name in SLOTS})
        self.now_ns = 0
        self.wake_ns = 0
        self.exited = False
        self.calls: list[tuple[Instruction, int]] = []  # in flight, with the time of sending
        self.processes: dict[AttemptKey, str] = {}  # alive, by slot
        self.dying: set[AttemptKey] = set()  # killed, their end not yet noticed
        self.lease_ends_ns: dict[AttemptKey, int] = {}
        self.assignments: dict[AttemptKey, Assignment] = {}
        self.ended: dict[AttemptKey, list[str]] = {}
        self.next_run = 0
        self.lease_s = 15.0

    @property
    def margin_ns(self) -> int:
        """What is promised: 3 s, a fifth of a lease under 15 s."""
        return round(min(3.0, self.lease_s / 5) * S)

    @initialize(leftovers=st.integers(0, 2), lease_s=st.sampled_from([1.0, 4.0, 15.0, 60.0]))
    def begin(self, leftovers: int, lease_s: float) -> None:
        self.lease_s = lease_s
        self.feed(events.Started(tuple(AttemptKey(f"{JOB}.{n:04d}", 1, 1) for n in range(9000, 9000 + leftovers))))

    def feed(self, event: Event) -> None:
        if self.exited:
            return
        self.state, instructions = step(self.state, event, self.now_ns)
        for instruction in instructions:
            self.obey(instruction)

    def obey(self, instruction: Instruction) -> None:
        if isinstance(instruction, CALLS):
            self.calls.append((instruction, self.now_ns))
        elif isinstance(instruction, events.StartAttempt):
            assert instruction.slot not in self.processes.values(), "two attempts on one slot"
            self.processes[instruction.key] = instruction.slot
            self.ended[instruction.key] = []
        elif isinstance(instruction, events.KillAttempt):
            self.dying.add(instruction.key)
        elif isinstance(instruction, events.WaitUntil):
            assert instruction.at_ns > self.now_ns, "the agent would spin"
            self.wake_ns = instruction.at_ns
        elif isinstance(instruction, events.Exit):
            self.exited = True
            self.processes.clear()

    # ------------------------------------------------------------------------------------ what may happen

    @rule(milliseconds=st.integers(1, 40_000))
    def time_passes(self, milliseconds: int) -> None:
        """The loop wakes exactly when it asked to be woken, as often as needed."""
        end_ns = self.now_ns + milliseconds * 1_000_000
        while self.wake_ns <= end_ns and not self.exited:
            self.now_ns = max(self.now_ns, self.wake_ns)
            self.no_attempt_outlives_its_lease(at_ns=self.now_ns - 1)
            self.feed(events.Tick())
        self.now_ns = max(self.now_ns, end_ns)

    @rule()
    def the_bell_rings(self) -> None:
        self.feed(events.Bell())

    @precondition(lambda self: self.calls)
    @rule(data=st.data())
    def a_call_ends(self, data: st.DataObject) -> None:
        call, sent_at_ns = self.calls.pop(data.draw(st.integers(0, len(self.calls) - 1)))
        outcome = data.draw(st.sampled_from(["answered", "answered", "failed", "refused"]))
        self.answer(call, sent_at_ns, outcome)

    def answer(  # noqa: C901, PLR0912 - a table: each call by each outcome
        self, call: Instruction, sent_at_ns: int, outcome: str
    ) -> None:
        match call, outcome:
            case events.Register(), "answered":
                self.feed(events.Registered(RULES))
            case events.Register(), _:
                self.feed(events.CallFailed("register"))
            case events.SendHeartbeat(), "failed":
                self.feed(events.CallFailed("heartbeat"))
            case events.SendHeartbeat(), _:
                self.feed(events.Beaten(known=outcome == "answered"))
            case events.AskForWork(slot), "answered":
                self.feed(events.ClaimAnswered(slot, sent_at_ns, self.new_assignment(sent_at_ns)))
            case events.AskForWork(slot), "refused":
                self.feed(events.ClaimAnswered(slot, sent_at_ns, None))
            case events.AskForWork(slot), _:
                self.feed(events.ClaimFailed(slot))
            case events.RenewLease(key, _), "answered":
                self.lease_ends_ns[key] = sent_at_ns + round(self.lease_s * S)
                self.feed(events.LeaseRenewed(key, sent_at_ns, self.lease_s))
            case events.RenewLease(key, _), "refused":
                self.lease_ends_ns[key] = 0
                self.feed(events.LeaseRefused(key))
            case events.RenewLease(key, _), _:
                self.feed(events.RenewalFailed(key))
            case events.ForwardProgress(key, told), "answered" | "refused":
                self.feed(events.ProgressDelivered(key, told[-1].n))
            case events.ForwardProgress(key, _), _:
                self.feed(events.ProgressFailed(key))
            case events.DeliverResult(key, _), "failed":
                self.feed(events.DeliveryFailed(key))
            case events.DeliverResult(key, _), _:
                self.ended.setdefault(key, []).append(outcome)
                delivered = events.ResultDelivered(key, accepted=True)
                self.feed(delivered if outcome == "answered" else events.ResultRefused(key, "no"))

    def new_assignment(self, sent_at_ns: int) -> Assignment:
        task = assignment(f"{JOB}.{self.next_run:04d}", lease_s=self.lease_s)
        self.next_run += 1
        key = AttemptKey(task.run_id, task.attempt, task.fence)
        self.lease_ends_ns[key] = sent_at_ns + round(self.lease_s * S)
        return task

    @precondition(lambda self: self.processes)
    @rule(data=st.data(), n=st.integers(1, 5))
    def an_attempt_tells_something(self, data: st.DataObject, n: int) -> None:
        key = data.draw(st.sampled_from(sorted(self.processes)))
        told = ProgressEvent.model_validate({"n": n, "at": "2026-01-01T00:00:00Z", "kind": "ready", "message": ""})
        self.feed(events.AttemptProgressed(key, told))

    @precondition(lambda self: self.processes)
    @rule(data=st.data(), clean=st.booleans())
    def an_attempt_ends(self, data: st.DataObject, clean: bool) -> None:
        self.end(data.draw(st.sampled_from(sorted(self.processes))), clean=clean)

    def end(self, key: AttemptKey, *, clean: bool) -> None:
        del self.processes[key]
        if key in self.dying:
            self.dying.discard(key)
            self.ended[key].append("killed")
        self.feed(events.AttemptExited(key, None if clean else Failure(cause=Cause.FOLLOWER_ERROR, detail="x")))

    @rule()
    def somebody_asks_it_to_stop_once_in_a_while(self) -> None:
        if self.next_run > 3:
            self.feed(events.StopRequested())

    # ------------------------------------------------------------------------------------ what always holds

    @invariant()
    def no_attempt_runs_at_its_deadline(self) -> None:
        self.no_attempt_outlives_its_lease(at_ns=self.now_ns)

    def no_attempt_outlives_its_lease(self, *, at_ns: int) -> None:
        for key in self.processes.keys() - self.dying:
            assert at_ns < self.lease_ends_ns[key] - self.margin_ns

    def teardown(self) -> None:
        """With everything answered and every process ended, each started attempt has had exactly one end."""
        for _ in range(200):
            for key in list(self.processes):
                self.end(key, clean=True)
            for call, sent_at_ns in self.calls[:]:
                self.calls.remove((call, sent_at_ns))
                self.answer(call, sent_at_ns, "refused" if isinstance(call, events.AskForWork) else "answered")
            self.now_ns = max(self.now_ns, self.wake_ns)
            self.feed(events.Tick())
        if not self.exited:
            assert self.state.attempts == {}
            for key, ends in self.ended.items():
                assert ends in (["answered"], ["refused"], ["killed"], ["killed", "answered"]), (key, ends)


TestAgentInAWorld = AgentInAWorld.TestCase
TestAgentInAWorld.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
