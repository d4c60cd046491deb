"""A run's life under any sequence of moves: fences, attempts, retries and ends."""

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from shared.jobs import lifecycle
from shared.jobs.lifecycle import TERMINAL, Cause, IllegalMove, Lease, RunState, RunStatus

NOW = datetime(2026, 11, 22, tzinfo=UTC)

# Written down once more, so that a bound that changes by accident is seen.
BOUNDS = {
    Cause.LEASE_EXPIRED: 3, Cause.FOLLOWER_DIED: 3, Cause.FOLLOWER_STOPPED: 10, Cause.FOLLOWER_ERROR: 3,
    Cause.DISK_FULL: 3,
}  # fmt: skip
LOSSES = (Cause.LEASE_EXPIRED, Cause.FOLLOWER_DIED)
OUT_OF_TIME = (Cause.TIMED_OUT, Cause.DEADLINE_PASSED)

own = st.sampled_from([c for c in Cause if c not in (*BOUNDS, *OUT_OF_TIME, Cause.CANCELLED_BY_USER)])
infrastructure = st.sampled_from(sorted(BOUNDS))
followers = st.sampled_from(["f1", "f2", "f3"])


def lease_of(follower: str = "f1", until: datetime = NOW) -> Lease:
    """A lease on the follower's only slot."""
    return Lease(follower=follower, incarnation="i", slot="cpu0", expires_at=until)


class RunLife(RuleBasedStateMachine):
    """Takes every move at any time; a plain model of counters and a phase says what must have happened."""

    def __init__(self) -> None:
        super().__init__()
        self.status = RunStatus()
        self.phase = "waiting"  # waiting, held, ended
        self.now = NOW
        self.claims = self.fence = 0
        self.failures: Counter[Cause] = Counter()
        self.failed_on: list[str] = []
        self.holder = ""

    def move(self, moved: RunStatus, phase: str, *, fence_grows: bool) -> None:
        assert moved.fence == self.status.fence + fence_grows
        self.status, self.phase, self.fence = moved, phase, self.fence + fence_grows

    @rule(seconds=st.integers(0, 500))
    def time_passes(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)

    @precondition(lambda self: self.phase == "waiting")
    @rule(follower=followers)
    def claim(self, follower: str) -> None:
        self.claims += 1
        self.holder = follower
        self.move(lifecycle.claim(self.status, lease_of(follower), self.now), "held", fence_grows=True)
        assert (self.status.cause, self.status.not_before, self.status.claimed_at) == (None, None, self.now)

    @precondition(lambda self: self.phase == "held")
    @rule()
    def start(self) -> None:
        self.move(lifecycle.start(self.status), "held", fence_grows=False)
        assert lifecycle.start(self.status) == self.status

    @precondition(lambda self: self.phase == "held")
    @rule(seconds=st.integers(0, 100))
    def renew(self, seconds: int) -> None:
        until = self.now + timedelta(seconds=seconds)
        self.move(lifecycle.renew(self.status, until), "held", fence_grows=False)
        assert self.status.lease == lease_of(self.holder, until)

    @precondition(lambda self: self.phase == "held")
    @rule()
    def succeed(self) -> None:
        self.move(lifecycle.succeed(self.status), "ended", fence_grows=False)
        assert (self.status.state, self.status.cause) == (RunState.SUCCEEDED, None)

    @precondition(lambda self: self.phase == "held")
    @rule()
    def prove_nothing(self) -> None:
        self.move(lifecycle.invalidate(self.status, "the host was busy"), "ended", fence_grows=False)
        assert self.status.state is RunState.INVALID
        assert (self.status.cause, self.status.detail) == (Cause.MEASUREMENT_INVALID, "the host was busy")

    @precondition(lambda self: self.phase == "held")
    @rule(cause=own)
    def fail_by_its_own_fault(self, cause: Cause) -> None:
        self.move(lifecycle.fail(self.status, cause, "why", self.now, "tail"), "ended", fence_grows=False)
        assert (self.status.state, self.status.cause, self.status.log_tail) == (RunState.FAILED, cause, "tail")

    @precondition(lambda self: self.phase == "held")
    @rule(cause=st.sampled_from(OUT_OF_TIME))
    def give_up_in_time(self, cause: Cause) -> None:
        self.move(lifecycle.fail(self.status, cause, "slow", self.now), "ended", fence_grows=False)
        assert (self.status.state, self.status.cause) == (RunState.TIMED_OUT, cause)

    @precondition(lambda self: self.phase == "held")
    @rule(cause=infrastructure, reported=st.booleans())
    def fail_by_infrastructure(self, cause: Cause, reported: bool) -> None:
        self.failures[cause] += 1
        self.failed_on.append(self.holder)
        is_poison = cause in LOSSES and sum(self.failures[loss] for loss in LOSSES) == 3
        over = is_poison or self.failures[cause] == BOUNDS[cause]
        move = lifecycle.fail if reported else lifecycle.requeue
        self.move(move(self.status, cause, "why", self.now), "ended" if over else "waiting", fence_grows=True)
        ended = RunState.QUARANTINED if is_poison else RunState.LOST
        assert self.status.state is (ended if over else RunState.QUEUED)
        assert self.status.cause is cause
        assert "why" in (self.status.detail or "")
        wait_s = min(60, 2 ** self.failures.total())
        assert self.status.not_before == (None if over else self.now + timedelta(seconds=wait_s))

    @precondition(lambda self: self.phase != "ended")
    @rule()
    def cancel(self) -> None:
        self.move(lifecycle.cancel(self.status), "ended", fence_grows=True)
        assert (self.status.state, self.status.cause) == (RunState.CANCELLED, Cause.CANCELLED_BY_USER)

    @precondition(lambda self: self.phase != "ended")
    @rule(cause=st.sampled_from(OUT_OF_TIME))
    def expire(self, cause: Cause) -> None:
        self.move(lifecycle.expire(self.status, cause, "too late"), "ended", fence_grows=True)
        told = (self.status.state, self.status.cause, self.status.detail)
        assert told == (RunState.TIMED_OUT, cause, "too late")

    @invariant()
    def nothing_moves_out_of_turn(self) -> None:
        moves: dict[str, tuple[Callable[[], object], set[str]]] = {
            "claim": (lambda: lifecycle.claim(self.status, lease_of(), self.now), {"waiting"}),
            "cancel": (lambda: lifecycle.cancel(self.status), {"waiting", "held"}),
            "expire": (lambda: lifecycle.expire(self.status, Cause.DEADLINE_PASSED, ""), {"waiting", "held"}),
            "start": (lambda: lifecycle.start(self.status), {"held"}),
            "succeed": (lambda: lifecycle.succeed(self.status), {"held"}),
            "invalidate": (lambda: lifecycle.invalidate(self.status, ""), {"held"}),
            "renew": (lambda: lifecycle.renew(self.status, self.now), {"held"}),
            "fail": (lambda: lifecycle.fail(self.status, Cause.SERVER_DIED, "", self.now), {"held"}),
            "requeue": (lambda: lifecycle.requeue(self.status, Cause.LEASE_EXPIRED, "", self.now), {"held"}),
        }
        for name, (move, takes) in moves.items():
            if self.phase not in takes:
                with pytest.raises(IllegalMove, match=name):
                    move()

    @invariant()
    def counters_tell_the_truth(self) -> None:
        assert self.status.fence == self.fence
        assert self.status.attempt == self.claims
        assert self.status.failures == self.failures
        assert self.status.avoid == tuple(dict.fromkeys(self.failed_on))

    @invariant()
    def no_run_is_tried_for_ever(self) -> None:
        """The most that the bounds allow: two losses, nine stops, two errors, two full disks, and one more."""
        assert self.status.attempt <= 2 + 9 + 2 + 2 + 1

    @invariant()
    def a_lease_is_held_exactly_while_the_run_is(self) -> None:
        assert (self.status.lease is not None) == self.status.state.is_leased == (self.phase == "held")
        assert self.status.state.is_terminal == (self.phase == "ended") == (self.status.state in TERMINAL)

    @invariant()
    def only_what_was_measured_has_a_record(self) -> None:
        assert self.status.state.has_record == (self.status.state in (RunState.SUCCEEDED, RunState.INVALID))

    @invariant()
    def it_survives_storage(self) -> None:
        assert RunStatus.model_validate_json(self.status.model_dump_json()) == self.status


TestRunLife = RunLife.TestCase


def held() -> RunStatus:
    """Claimed at NOW by f1, under a lease that ends there and then."""
    return lifecycle.claim(RunStatus(), lease_of(), NOW)


def failed(causes: list[Cause]) -> RunStatus:
    """After attempts that failed so, one after another, each on a follower of its own."""
    status = RunStatus()
    for number, cause in enumerate(causes, 1):
        taken = lifecycle.claim(status, lease_of(f"f{number}"), NOW)
        status = lifecycle.requeue(taken, cause, f"failure {number}", NOW)
    return status


def test_a_cancelled_run_says_nothing_of_an_older_failure() -> None:
    """The reason that a person reads is the last one."""
    again = lifecycle.requeue(held(), Cause.LEASE_EXPIRED, "silent", NOW, "tail")
    assert again.log_tail == "tail"
    cancelled = lifecycle.cancel(again)
    assert (cancelled.detail, cancelled.log_tail) == (None, None)


@given(st.permutations([Cause.LEASE_EXPIRED, Cause.FOLLOWER_DIED, Cause.LEASE_EXPIRED]))
def test_losses_count_together_however_the_followers_were_lost(causes: list[Cause]) -> None:
    """The third quarantines the run, and the detail names the followers and the last failure."""
    assert failed(causes[:2]).state is RunState.QUEUED
    ended = failed(causes)
    assert (ended.state, ended.cause) == (RunState.QUARANTINED, causes[-1])
    assert ended.detail == "3 times the follower was lost under it; it failed on f1, f2, f3; the last time: failure 3"


@pytest.mark.parametrize("cause", [Cause.FOLLOWER_STOPPED, Cause.FOLLOWER_ERROR, Cause.DISK_FULL])
def test_each_other_cause_loses_the_run_at_its_own_bound(cause: Cause) -> None:
    """And not one failure earlier."""
    assert failed([cause] * (BOUNDS[cause] - 1)).state is RunState.QUEUED
    assert failed([cause] * BOUNDS[cause]).state is RunState.LOST


def test_failures_of_different_causes_do_not_add_up() -> None:
    """Two of each: a run that had bad luck in many ways is tried again."""
    causes = [Cause.DISK_FULL, Cause.FOLLOWER_ERROR, Cause.LEASE_EXPIRED, Cause.FOLLOWER_STOPPED] * 2
    assert failed(causes).state is RunState.QUEUED


def test_the_back_off_doubles_up_to_a_minute() -> None:
    """From two seconds; every failure counts, whatever its cause."""
    waits = [lifecycle.backoff(number).total_seconds() for number in range(1, 9)]
    assert waits == [2, 4, 8, 16, 32, 60, 60, 60]
    assert lifecycle.backoff(10_000).total_seconds() == 60


def test_a_follower_that_failed_a_run_twice_is_avoided_once() -> None:
    """In the order of their failures."""
    status = RunStatus()
    for follower in ("f2", "f1", "f2"):
        taken = lifecycle.claim(status, lease_of(follower), NOW)
        status = lifecycle.requeue(taken, Cause.FOLLOWER_STOPPED, "stopped", NOW)
    assert status.avoid == ("f2", "f1")
