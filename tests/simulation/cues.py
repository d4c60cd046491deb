"""Moments of a story, and what goes wrong at them."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from follower.agent.events import DeliverResult, Instruction, RenewLease
from leader.perfdb import schema
from shared.jobs.lifecycle import TERMINAL, RunState
from simulation.documents import Document
from simulation.faults import Operation

if TYPE_CHECKING:
    from simulation.hosts import Host
    from simulation.stage import Stage

FIRST_CLAIMS_S: Final = 2.0
THIRD_RENEWAL_S: Final = 10.0
_ENDED: Final = frozenset(state.value for state in TERMINAL)


@dataclass(frozen=True)
class Changed:
    """A document changed in the store."""

    collection: str
    before: Document | None
    after: Document | None


@dataclass(frozen=True)
class Instructed:
    """A host's agent is about to carry out an instruction."""

    host: str
    instruction: Instruction
    at_s: float


News = Changed | Instructed
Cue = Callable[[News, int], bool]
"""Whether this is the moment; told the number of the attempt that the story is about."""

Act = Callable[["Stage", "Host"], None]
"""What goes wrong, with the follower that the news was of."""


# -------------------------------------------------------------------------------------------------------- moments


def run_is(state: RunState) -> Cue:
    """A run gets there in the attempt that the story is about, or a later one, or has ended meanwhile."""

    def cue(news: News, attempt: int) -> bool:
        if not isinstance(news, Changed) or news.collection != schema.RUNS or news.after is None:
            return False
        status = news.after["status"]
        if state is RunState.QUEUED:
            attempt -= 1
        return bool(status["attempt"] >= attempt and status["state"] == state.value) or status["state"] in _ENDED

    return cue


def stored(collection: str) -> Cue:
    """Something of the attempt that the story is about is stored there, or its run has ended."""
    ended = run_is(RunState.SUCCEEDED)

    def cue(news: News, attempt: int) -> bool:
        if isinstance(news, Changed) and news.collection == collection and news.before is None and news.after:
            return bool(news.after.get("attempt", attempt) >= attempt)
        return ended(news, attempt)

    return cue


def delivering(news: News, attempt: int) -> bool:
    """An agent begins to deliver."""
    return isinstance(news, Instructed) and (
        isinstance(news.instruction, DeliverResult) and news.instruction.key.attempt >= attempt
    )


def third_renewal(news: News, attempt: int) -> bool:
    """An agent is about to renew a lease that has been renewed for a while."""
    del attempt
    return isinstance(news, Instructed) and isinstance(news.instruction, RenewLease) and news.at_s > THIRD_RENEWAL_S


def recorded(news: News, attempt: int) -> bool:
    """A run's record is there, with everything that follows from it."""
    del attempt
    return isinstance(news, Changed) and (
        news.collection == schema.RUNS and news.after is not None and bool(news.after["recorded"])
    )


# ------------------------------------------------------------------------------------------------ what goes wrong


def kill_agent(back_after_s: float) -> Act:
    """The follower's agent dies."""
    return lambda stage, host: stage.kill_agent(host, back_after_s)


def stop_agent(_stage: "Stage", host: "Host") -> None:
    """Somebody stops the follower, and starts it again."""
    host.stop_agent(4.0)


def cut_off(way: str, seconds: float) -> Act:
    """The follower hears nothing of leaders, or they nothing of it, or both."""

    def act(stage: "Stage", host: "Host") -> None:
        for leader in stage.leaders:
            stage.cut(host.name, leader, way, seconds)

    return act


def pause_host(seconds: float) -> Act:
    """The follower's machine stands still with all its clocks, as virtual machines do."""
    return lambda stage, host: stage.pause_host(host, seconds)


def slow_take_backs(operation: Operation) -> float:
    """Between the decision that a lease is over and the write there is time for its holder."""
    return 3.0 if operation.name == "runs.update_one" and "Reaper._take_back" in operation.caller() else 0.0


def step_clocks(leaders_s: float, host_s: float) -> Act:
    """Somebody sets wall clocks."""

    def act(stage: "Stage", host: "Host") -> None:
        for leader in stage.leaders:
            stage.step_clock(leader, leaders_s)
        host.clock.wrong_by += timedelta(seconds=host_s)

    return act


def first_claim_for_long(operation: Operation) -> float:
    """The agent asks again, and is answered, before its first claim is stored."""
    is_claim = operation.name == "runs.update_one" and "Queue.claim" in operation.caller()
    return 8.0 if is_claim and operation.at_s < FIRST_CLAIMS_S else 0.0


def slow_claims(operation: Operation) -> float:
    """The first claims are under way at once, and the first leader's for so long that the other's attempt fails."""
    if (
        operation.at_s > FIRST_CLAIMS_S
        or operation.name != "runs.update_one"
        or "Queue.claim" not in operation.caller()
    ):
        return 0.0
    return 2.3 if operation.leader.startswith("l1.") else 0.3


def slow_delivering_moves(operation: Operation) -> float:
    """Between evidence and move there is time for others."""
    return 0.5 if operation.name == "runs.update_one" and "Queue.deliver" in operation.caller() else 0.0
