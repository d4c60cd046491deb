"""A conversion's life under any sequence of moves: fences, attempts, losses and ends."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from shared.jobs import conversion as life
from shared.jobs.conversion import (
    ConversionLease,
    ConversionState,
    ConversionStatus,
    IllegalConversionMove,
    ProducedModel,
)

NOW = datetime(2026, 11, 22, tzinfo=UTC)
BOUND = 3  # written down once more, so that a bound that changes by accident is seen
MADE = ProducedModel(name="m-int8", version=4, sha256="ab" * 32)

MOVES: dict[str, Callable[[ConversionStatus], ConversionStatus]] = {
    "claim": lambda status: life.claim(status, lease_of("w")),
    "renew": lambda status: life.renew(status, NOW, None),
    "note": lambda status: life.note(status, "busy"),
    "announce": lambda status: life.announce(status, MADE),
    "succeed": life.succeed,
    "refuse": lambda status: life.refuse(status, "no model"),
    "give back": lambda status: life.give_back(status, "stopped"),
    "lose": lambda status: life.lose(status, "silent"),
    "cancel": lambda status: life.cancel(status, "cancelled by ann"),
}
ALLOWED = {
    ConversionState.QUEUED: {"claim", "note", "cancel"},
    ConversionState.RUNNING: {"renew", "announce", "succeed", "refuse", "give back", "lose", "cancel"},
}


def lease_of(converter: str) -> ConversionLease:
    """A lease of this converter."""
    return ConversionLease(converter=converter, incarnation="i", expires_at=NOW)


class ConversionLife(RuleBasedStateMachine):
    """Takes every move at any time; plain counters say what must have happened."""

    def __init__(self) -> None:
        super().__init__()
        self.status = ConversionStatus()
        self.phase = "waiting"  # waiting, held, ended
        self.claims = self.losses = self.fence = 0
        self.has_result = False

    @rule()
    def nothing_happens(self) -> None:
        """Always possible, also after the end."""

    @precondition(lambda self: self.phase == "waiting")
    @rule(converter=st.sampled_from(["w1", "w2"]))
    def claim(self, converter: str) -> None:
        self.status, self.phase, self.has_result = life.claim(self.status, lease_of(converter)), "held", False
        self.claims, self.fence = self.claims + 1, self.fence + 1
        assert (self.status.converter, self.status.waiting, self.status.cause) == (converter, None, None)

    @precondition(lambda self: self.phase == "waiting")
    @rule()
    def somebody_who_could_says_why_not(self) -> None:
        self.status = life.note(self.status, "follower f measures")
        assert self.status.waiting == "follower f measures"

    @precondition(lambda self: self.phase == "held")
    @rule(waiting=st.sampled_from([None, "follower f measures"]))
    def renew(self, waiting: str | None) -> None:
        self.status = life.renew(self.status, NOW, waiting)
        assert self.status.waiting == waiting

    @precondition(lambda self: self.phase == "held")
    @rule()
    def announce(self) -> None:
        self.status, self.has_result = life.announce(self.status, MADE), True

    @precondition(lambda self: self.phase == "held" and self.has_result)
    @rule()
    def succeed(self) -> None:
        self.status, self.phase = life.succeed(life.finished(self.status)), "ended"
        assert (self.status.state, self.status.produced) == (ConversionState.SUCCEEDED, MADE)
        assert self.status.finished_fence == self.fence

    @precondition(lambda self: self.phase == "held" and not self.has_result)
    @rule()
    def cannot_succeed_without_a_result(self) -> None:
        with pytest.raises(IllegalConversionMove):
            life.succeed(self.status)

    @precondition(lambda self: self.phase == "held")
    @rule()
    def refuse(self) -> None:
        self.status, self.phase = life.refuse(self.status, "no model"), "ended"
        assert (self.status.state, self.status.cause) == (ConversionState.FAILED, "no model")

    @precondition(lambda self: self.phase == "held")
    @rule()
    def give_back(self) -> None:
        self.status, self.phase = life.give_back(self.status, "the converter was stopped"), "waiting"
        self.fence += 1

    @precondition(lambda self: self.phase == "held")
    @rule()
    def lose(self) -> None:
        self.status = life.lose(self.status, "it went silent")
        self.fence, self.losses = self.fence + 1, self.losses + 1
        self.phase = "waiting" if self.losses < BOUND else "ended"
        expected = ConversionState.QUEUED if self.losses < BOUND else ConversionState.FAILED
        assert self.status.state is expected
        assert "it went silent" in (self.status.cause or "")

    @precondition(lambda self: self.phase != "ended")
    @rule()
    def cancel(self) -> None:
        self.status, self.phase = life.cancel(self.status, "cancelled by ann"), "ended"
        self.fence += 1
        assert (self.status.state, self.status.cause) == (ConversionState.CANCELLED, "cancelled by ann")

    @invariant()
    def what_is_counted_agrees(self) -> None:
        counted = (self.status.fence, self.status.attempt, self.status.losses)
        assert counted == (self.fence, self.claims, self.losses)

    @invariant()
    def only_a_held_one_has_a_lease(self) -> None:
        assert (self.status.lease is not None) is (self.phase == "held")

    @invariant()
    def every_end_has_a_cause_and_everything_else_that_waits_says_for_what(self) -> None:
        assert self.status.state.is_terminal is (self.phase == "ended")
        if self.phase == "ended":
            assert self.status.cause
            assert self.status.waiting is None
        if self.phase == "waiting":
            assert self.status.waiting

    @invariant()
    def no_other_move_is_possible(self) -> None:
        allowed = ALLOWED.get(self.status.state, set())
        for name, move in MOVES.items():
            if name not in allowed:
                with pytest.raises(IllegalConversionMove):
                    move(self.status)


test_no_sequence_of_moves_breaks_a_conversion = ConversionLife.TestCase
