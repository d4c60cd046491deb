"""The agent's state machine in a test's hands: events in, instructions out, on a clock that only the test moves."""

from typing import TypeVar

from support.assignments import assignment

from follower.agent import events
from follower.agent.duties import step
from follower.agent.events import AttemptKey, Event, Instruction
from follower.agent.state import AgentState, SlotClock
from shared.jobs.lifecycle import Cause
from shared.wire.assignment import Assignment, Failure, ProgressEvent
from shared.wire.identity import RegistrationAnswer

S = 1_000_000_000
RULES = RegistrationAnswer(
    follower="f", lease_s=15, heartbeat_s=5, poll_s=2, broker_url=None, bell_queue="inferbench.bell.f"
)
FAILURE = Failure(cause=Cause.SERVER_DIED, detail="died")

InstructionT = TypeVar("InstructionT")


class Driver:
    """Feeds events to the machine and keeps what it ordered."""

    def __init__(self, *slots: str) -> None:
        self.state = AgentState(slots={name: SlotClock() for name in slots or ("cpu",)})
        self.now_ns = 1_000 * S
        self.last: tuple[Instruction, ...] = ()

    def feed(self, event: Event, *, after_s: float = 0.0) -> tuple[Instruction, ...]:
        self.now_ns += round(after_s * S)
        self.state, self.last = step(self.state, event, self.now_ns)
        return self.last

    def ordered(self, kind: type[InstructionT]) -> list[InstructionT]:
        return [instruction for instruction in self.last if isinstance(instruction, kind)]

    @property
    def sleeps_s(self) -> float:
        (wait,) = self.ordered(events.WaitUntil)
        return (wait.at_ns - self.now_ns) / S


def serving(*slots: str) -> Driver:
    """An agent that has registered and asked for work."""
    driver = Driver(*slots)
    driver.feed(events.Started())
    driver.feed(events.Registered(RULES))
    return driver


def running(task: Assignment | None = None) -> tuple[Driver, AttemptKey]:
    """An agent whose attempt runs and whose first renewal was answered."""
    driver = serving()
    task = task or assignment()
    key = AttemptKey(task.run_id, task.attempt, task.fence)
    driver.feed(events.ClaimAnswered("cpu", driver.now_ns, task))
    driver.feed(events.LeaseRenewed(key, driver.now_ns, 15))
    return driver, key


def told(n: int) -> ProgressEvent:
    """The attempt's n-th piece of news."""
    return ProgressEvent.model_validate({"n": n, "at": "2026-01-01T00:00:00Z", "kind": "ready", "message": ""})
