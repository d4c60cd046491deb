"""A follower's agent: its real state machine and its real calls, between a simulated network and simulated attempts.

``follower.agent.calls`` is synchronous, as a thread runs it. Here each call is made again and again, each time one
answer further, until it has all that it asks for; so what is asked, and what answers mean, is the agent's own code.
"""

from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

from follower.agent import events
from follower.agent.calls import Calls, Events
from follower.agent.duties import step
from follower.agent.events import Event, Instruction
from follower.agent.leader import CALL_TIMEOUT_S, LeaderClient
from follower.agent.state import AgentState, SlotClock
from shared.errors import InferBenchError
from shared.wire.assignment import Artifact, Assignment, Claim, LeaseAnswer, LeaseCall, Progress, Result, ResultAnswer
from shared.wire.identity import Heartbeat, Registration, RegistrationAnswer
from simulation.network import Outcome, Request

if TYPE_CHECKING:
    from simulation.hosts import Host

UPLOAD_TIMEOUT_S: Final = 8.0
"""An upload whose answer never comes is a broken connection sooner than the client's own limit of a minute."""


class Asking(BaseException):
    """The call has come to a question that was not answered yet."""

    def __init__(self, name: str, request: Request, timeout_s: float) -> None:
        super().__init__(name)
        self.name, self.request, self.timeout_s = name, request, timeout_s


class AnsweredClient:
    """follower.agent.leader.LeaderClient, which knows the first answers already.

    What the agent remembers on its disk it does not ask again: answers to such questions are passed over.
    """

    def __init__(self, follower: str, answers: list[tuple[str, Outcome]]) -> None:
        self._follower = follower
        self._answers = deque(answers)

    def _asked(self, name: str, request: Request, timeout_s: float = CALL_TIMEOUT_S) -> Any:
        while self._answers and self._answers[0][0] != name:
            self._answers.popleft()
        if not self._answers:
            raise Asking(name, request, timeout_s)
        _, answer = self._answers.popleft()
        if isinstance(answer, InferBenchError):
            raise answer.with_traceback(None)
        return answer

    def register(self, registration: Registration) -> RegistrationAnswer:
        return cast("RegistrationAnswer", self._asked("register", lambda desk: desk.followers.register(registration)))

    def heartbeat(self, heartbeat: Heartbeat) -> None:
        self._asked("heartbeat", lambda desk: desk.followers.heartbeat(self._follower, heartbeat))

    def claim(self, claim: Claim) -> Assignment | None:
        name = f"claim {claim.slot}"
        return cast("Assignment | None", self._asked(name, lambda desk: desk.queue.claim(self._follower, claim)))

    def renew(self, run_id: str, call: LeaseCall, *, timeout_s: float = CALL_TIMEOUT_S) -> LeaseAnswer:
        def request(desk: Any) -> Any:
            return desk.queue.renew(self._follower, run_id, call)

        return cast("LeaseAnswer", self._asked(f"renew {run_id}.{call.attempt}", request, timeout_s))

    def progress(self, run_id: str, progress: Progress) -> None:
        name = f"progress {run_id}.{progress.attempt}"
        self._asked(name, lambda desk: desk.queue.progress(self._follower, run_id, progress))

    def put_artifact(self, run_id: str, kind: Any, path: Path, *, sha256: str, attempt: int, fence: int) -> Artifact:
        data = path.read_bytes()

        def request(desk: Any) -> Any:
            return desk.queue.store_artifact(
                self._follower, run_id, kind, attempt=attempt, fence=fence, sha256=sha256, chunks=_sent(data)
            )

        return cast("Artifact", self._asked(f"artifact {run_id}.{attempt} {kind}", request, UPLOAD_TIMEOUT_S))

    def post_result(self, run_id: str, result: Result) -> ResultAnswer:
        def request(desk: Any) -> Any:
            return desk.queue.deliver(self._follower, run_id, result)

        return cast("ResultAnswer", self._asked(f"result {run_id}.{result.attempt}", request, UPLOAD_TIMEOUT_S))


async def _sent(data: bytes) -> AsyncIterator[bytes]:
    yield data


@dataclass
class Lane:
    """Calls in the order in which they were asked for, so many at once; a thread pool."""

    width: int = 1
    _busy: int = 0
    _waiting: deque[Callable[[], None]] = field(default_factory=deque)

    def submit(self, begin: Callable[[], None]) -> None:
        self._waiting.append(begin)
        self._next()

    def free(self) -> None:
        """A call has ended."""
        self._busy -= 1
        self._next()

    def _next(self) -> None:
        while self._waiting and self._busy < self.width:
            self._busy += 1
            self._waiting.popleft()()


class SimulatedAgent:
    """One incarnation of a host's agent."""

    def __init__(self, host: "Host", incarnation: str) -> None:
        self.host = host
        self.alive = True
        self.incarnation = incarnation
        self.registration = host.registration.model_copy(update={"incarnation": incarnation})
        slots = {slot.name: SlotClock() for slot in self.registration.slots}
        self.state = AgentState(slots=slots, dice=host.around.rng.getrandbits(40) | 1)
        self._leases, self._control, self._uploads = Lane(len(slots)), Lane(), Lane()
        self._backlog: list[Event] = []
        self._timer: Any = None

    def feed(self, event: Event) -> None:
        """Something happened; an agent that is held up hears of it later, a dead one never."""
        if not self.alive:
            return
        if self.host.is_held_up:
            self._backlog.append(event)
            return
        self.state, instructions = step(self.state, event, self.host.now_ns)
        for instruction in instructions:
            if self.alive:
                self._carry_out(instruction)

    def catch_up(self) -> None:
        """It runs again: what happened meanwhile comes first."""
        backlog, self._backlog = self._backlog, []
        for event in backlog:
            self.feed(event)
        self.feed(events.Tick())

    def die(self) -> None:
        """Nothing of it happens any more."""
        self.alive = False
        if self._timer is not None:
            self._timer.cancel()

    def _carry_out(self, instruction: Instruction) -> None:  # noqa: C901 - a table: each instruction
        host = self.host
        match instruction:
            case events.Register():
                self._call(self._control, lambda calls: calls.register())
            case events.SendHeartbeat():
                self._call(self._control, lambda calls: calls.heartbeat(instruction))
            case events.AskForWork():
                self._call(self._control, lambda calls: calls.claim(instruction))
            case events.RenewLease(key):
                held = self.state.attempts[key]
                lease_s = held.assignment.lease_s if held.assignment else 0.0
                self._call(self._leases, lambda calls: calls.renew(instruction, lease_s))
            case events.ForwardProgress():
                self._call(self._uploads, lambda calls: calls.progress(instruction))
            case events.DeliverResult(key):
                directory = host.directory(key)
                self._call(self._uploads, lambda calls: calls.deliver(instruction, directory))
            case events.StartAttempt(key, slot, assignment):
                host.start_attempt(self, key, slot, assignment)
            case events.KillAttempt(key):
                host.kill_attempt(key, instruction.failure)
            case events.Forget(key):
                host.forget(key)
            case events.WaitUntil(at_ns):
                self._wake_at(at_ns)
            case events.Exit(error):
                host.agent_left(self, error)

    def _wake_at(self, at_ns: int) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self.host.around.loop.later((at_ns - self.host.now_ns) / 1e9, self.feed, events.Tick())

    def _call(self, lane: Lane, call: Callable[[Calls], Events]) -> None:
        lane.submit(Dialogue(self, lane, call).go)


@dataclass
class Dialogue:
    """One call of the agent, with as many questions as it has."""

    agent: SimulatedAgent
    lane: Lane
    call: Callable[[Calls], Events]
    answers: list[tuple[str, Outcome]] = field(default_factory=list)
    sent_at_ns: int | None = None

    def go(self) -> None:
        """As far as the answers reach."""
        host = self.agent.host
        if self.sent_at_ns is None:
            self.sent_at_ns = host.now_ns
        sent_at_ns = self.sent_at_ns
        client = cast("LeaderClient", AnsweredClient(host.name, self.answers))
        try:
            told = self.call(host.calls(client, self.agent.registration, lambda: sent_at_ns))
        except Asking as asking:
            host.ask(asking.name, asking.request, asking.timeout_s, partial(self._answered, asking.name))
            return
        self.lane.free()
        for event in told:
            self.agent.feed(event)

    def _answered(self, name: str, outcome: Outcome) -> None:
        if self.agent.alive:
            self.answers.append((name, outcome))
            self.go()
