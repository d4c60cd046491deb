"""When a run's time is up: a pure decision on the run, the clock and the cap."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from support.assignments import run_spec
from support.stored_runs import T0, lease, run

from leader.manage.limits import CAP_GRACE, cap_of, outlived
from leader.perfdb.entities import Run
from shared.jobs import lifecycle
from shared.jobs.lifecycle import Cause, RunState
from shared.wire.assignment import BlobPin

CAP = timedelta(seconds=100)
FENCE = 1


def after(seconds: float) -> timedelta:
    """So long after T0."""
    return timedelta(seconds=seconds)


def held(**changes: Any) -> Run:
    """Claimed by f1 at T0."""
    return run(status=lifecycle.claim(run().status, lease(), T0), follower="f1", **changes)


@pytest.mark.parametrize(("seconds", "ends"), [(0, False), (100, False), (159.9, False), (160, True), (1000, True)])
def test_an_attempt_ends_a_minute_after_its_cap(seconds: float, ends: bool) -> None:
    """The follower keeps the cap itself and has that minute to say so."""
    assert after(60) == CAP_GRACE
    move = outlived(held(), T0, CAP, after(seconds))
    assert (move is not None) == ends
    if move is not None:
        assert (move.status.state, move.status.cause) == (RunState.TIMED_OUT, Cause.TIMED_OUT)
        assert (move.status.fence, move.status.lease) == (FENCE + 1, None)
        assert move.status.detail == "attempt 1 on f1 did not end within 100 s"


@pytest.mark.parametrize("hours", [-1, 1, 24 * 365])
def test_a_wall_clock_that_was_set_ends_no_attempt(hours: int) -> None:
    """Its cap is a length of time, as this leader has seen it pass."""
    assert outlived(held(), T0 + timedelta(hours=hours), CAP, after(5)) is None


@pytest.mark.parametrize("before", [run(), held()], ids=["queued", "held"])
def test_a_deadline_ends_whatever_has_not_ended(before: Run) -> None:
    """From the moment on, and not before it; under a new fence, so that its follower is refused."""
    due = replace(before, deadline_at=T0 + after(50))
    assert outlived(due, T0 + after(49.9), CAP, after(0)) is None
    move = outlived(due, T0 + after(50), CAP, after(0))
    assert move is not None
    assert (move.status.state, move.status.cause) == (RunState.TIMED_OUT, Cause.DEADLINE_PASSED)
    assert move.status.fence == before.status.fence + 1
    how = "in attempt 1" if before.status.state.is_leased else "while it was queued"
    assert move.status.detail == f"its deadline, 2026-03-01 12:00:50 UTC, passed {how}"


def test_a_run_that_waits_without_a_deadline_waits() -> None:
    """However long: the cap is an attempt's."""
    assert outlived(run(), T0 + timedelta(days=99), CAP, timedelta(days=99)) is None


@pytest.mark.parametrize("move", [lifecycle.succeed, lifecycle.cancel])
def test_a_run_that_has_ended_is_left(move: object) -> None:
    """Its deadline passes like any other day."""
    assert callable(move)
    ended = replace(held(deadline_at=T0), status=move(held().status))
    assert outlived(ended, T0 + timedelta(days=9), CAP, timedelta(days=9)) is None


def test_the_cap_counts_what_the_follower_may_have_to_fetch() -> None:
    """A second for each megabyte of model, dataset and trace; the rest is the job file's."""
    spec = run_spec(
        service={"ready_timeout": "30s"},
        workload={"pattern": "closed", "warmup": "5s", "duration": "100s", "request_timeout": "2s"},
    )
    plain = run(spec=spec.model_dump(mode="json"), model=None)
    pin = BlobPin(name="d", version=1, sha256="b", size_bytes=3_000_000)
    assert cap_of(plain) == after(30 + 5 + 100 + 4 + 20 + 60)
    assert cap_of(replace(plain, dataset=pin, trace=pin)) - cap_of(plain) == after(6)
