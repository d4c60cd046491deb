"""A run's life under any sequence of moves: fences, attempts, retries and ends."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from shared.jobs import lifecycle
from shared.jobs.lifecycle import (
    MAX_INFRASTRUCTURE_RETRIES,
    TERMINAL,
    Cause,
    IllegalMove,
    Lease,
    RunState,
    RunStatus,
)

NOW = datetime(2026, 11, 22, tzinfo=UTC)
LEASE = Lease(follower="f", incarnation="i", slot="cpu0", expires_at=NOW)

own = st.sampled_from([c for c in Cause if not c.is_infrastructure and c is not Cause.CANCELLED_BY_USER])
infrastructure = st.sampled_from([c for c in Cause if c.is_infrastructure])


class RunLife(RuleBasedStateMachine):
    """Takes every move at any time; a plain model of counters and a phase says what must have happened."""

    def __init__(self) -> None:
        super().__init__()
        self.status = RunStatus()
        self.phase = "waiting"  # waiting, held, ended
        self.claims = self.infrastructure_failures = self.fence = 0

    def move(self, moved: RunStatus, phase: str, *, fence_grows: bool) -> None:
        assert moved.fence == self.status.fence + fence_grows
        self.status, self.phase, self.fence = moved, phase, self.fence + fence_grows

    @precondition(lambda self: self.phase == "waiting")
    @rule()
    def claim(self) -> None:
        self.claims += 1
        self.move(lifecycle.claim(self.status, LEASE), "held", fence_grows=True)
        assert self.status.cause is None

    @precondition(lambda self: self.phase == "held")
    @rule()
    def start(self) -> None:
        self.move(lifecycle.start(self.status), "held", fence_grows=False)
        assert lifecycle.start(self.status) == self.status

    @precondition(lambda self: self.phase == "held")
    @rule(seconds=st.integers(0, 100))
    def renew(self, seconds: int) -> None:
        until = NOW + timedelta(seconds=seconds)
        self.move(lifecycle.renew(self.status, until), "held", fence_grows=False)
        assert self.status.lease is not None
        assert self.status.lease.expires_at == until

    @precondition(lambda self: self.phase == "held")
    @rule()
    def succeed(self) -> None:
        self.move(lifecycle.succeed(self.status), "ended", fence_grows=False)
        assert self.status.state is RunState.SUCCEEDED

    @precondition(lambda self: self.phase == "held")
    @rule(cause=own)
    def fail_by_its_own_fault(self, cause: Cause) -> None:
        self.move(lifecycle.fail(self.status, cause, "why", "tail"), "ended", fence_grows=False)
        assert (self.status.state, self.status.cause, self.status.log_tail) == (RunState.FAILED, cause, "tail")

    @precondition(lambda self: self.phase == "held")
    @rule(cause=infrastructure, reported=st.booleans())
    def fail_by_infrastructure(self, cause: Cause, reported: bool) -> None:
        self.infrastructure_failures += 1
        over = self.infrastructure_failures > MAX_INFRASTRUCTURE_RETRIES
        move = lifecycle.fail if reported else lifecycle.requeue
        self.move(move(self.status, cause, "why"), "ended" if over else "waiting", fence_grows=True)
        assert self.status.state is (RunState.LOST if over else RunState.QUEUED)
        assert self.status.cause is cause

    @precondition(lambda self: self.phase != "ended")
    @rule()
    def cancel(self) -> None:
        self.move(lifecycle.cancel(self.status), "ended", fence_grows=True)
        assert (self.status.state, self.status.cause) == (RunState.CANCELLED, Cause.CANCELLED_BY_USER)

    @precondition(lambda self: self.phase == "ended")
    @rule()
    def time_passes(self) -> None:
        assert not lifecycle.is_expired(self.status, NOW + timedelta(days=365), timedelta(0))

    @invariant()
    def nothing_moves_out_of_turn(self) -> None:
        for name, takes in (("claim", {"waiting"}), ("cancel", {"waiting", "held"})):
            if self.phase not in takes:
                with pytest.raises(IllegalMove, match=name):
                    lifecycle.claim(self.status, LEASE) if name == "claim" else lifecycle.cancel(self.status)
        if self.phase != "held":
            for move in (
                lifecycle.start,
                lifecycle.succeed,
                lambda status: lifecycle.renew(status, NOW),
                lambda status: lifecycle.fail(status, Cause.SERVER_DIED, ""),
                lambda status: lifecycle.fail(status, Cause.DISK_FULL, ""),
                lambda status: lifecycle.requeue(status, Cause.LEASE_EXPIRED, ""),
            ):
                with pytest.raises(IllegalMove):
                    move(self.status)

    @invariant()
    def counters_tell_the_truth(self) -> None:
        assert self.status.fence == self.fence
        assert self.status.attempt == self.claims <= MAX_INFRASTRUCTURE_RETRIES + 1
        assert self.status.infrastructure_failures == self.infrastructure_failures

    @invariant()
    def a_lease_is_held_exactly_while_the_run_is(self) -> None:
        assert (self.status.lease is not None) == self.status.state.is_leased == (self.phase == "held")
        assert self.status.state.is_terminal == (self.phase == "ended") == (self.status.state in TERMINAL)

    @invariant()
    def it_survives_storage(self) -> None:
        assert RunStatus.model_validate_json(self.status.model_dump_json()) == self.status


TestRunLife = RunLife.TestCase


def test_a_lease_expires_only_after_its_grace() -> None:
    """The holder stops itself before; the leader waits longer, and a run without lease cannot expire."""
    held = lifecycle.claim(RunStatus(), LEASE)
    grace = timedelta(seconds=3)
    assert not lifecycle.is_expired(held, NOW + grace, grace)
    assert lifecycle.is_expired(held, NOW + grace + timedelta(microseconds=1), grace)
    assert not lifecycle.is_expired(RunStatus(), NOW + timedelta(days=1), grace)
    assert not lifecycle.is_expired(lifecycle.succeed(held), NOW + timedelta(days=1), grace)


def test_a_cancelled_run_says_nothing_of_an_older_failure() -> None:
    """The reason that a person reads is the last one."""
    again = lifecycle.requeue(lifecycle.claim(RunStatus(), LEASE), Cause.LEASE_EXPIRED, "silent", "tail")
    assert again.log_tail == "tail"
    cancelled = lifecycle.cancel(again)
    assert (cancelled.detail, cancelled.log_tail) == (None, None)
