"""The cap on an attempt's time: what it is made of, and that it bites wherever the attempt waits."""

import time
from pathlib import Path

import numpy as np
import pytest
from support.assignments import assignment, run_spec
from support.workloads import EVERY_PATTERN

from follower.attempt import __main__ as entry
from follower.attempt.budget import wall_cap_ns
from follower.attempt.order import AttemptDir
from follower.attempt.story import Story
from shared.clock import SystemClock
from shared.errors import AttemptFailed
from shared.jobs.lifecycle import Cause
from shared.wire.assignment import BlobPin, Failure, ModelPin
from shared.workload.arrivals import make_plan

S = 1_000_000_000


def test_the_cap_is_the_prediction_and_a_minute() -> None:
    """Readiness, warm-up, window, two request timeouts, 20 s for the calibration, and 60 s for the rest."""
    spec = run_spec(
        service={"ready_timeout": "30s"},
        workload={"pattern": "closed", "warmup": "5s", "duration": "100s", "request_timeout": "2s"},
    )
    assert wall_cap_ns(assignment(spec=spec)) == (30 + 5 + 100 + 2 * 2 + 20 + 60) * S


def test_every_cold_start_has_its_own_time() -> None:
    """Readiness, 30 s of inferences and the last one's timeout, 15 s to stop; and what every attempt has."""
    spec = run_spec(
        service={"ready_timeout": "40s"}, workload={"pattern": "cold-start", "repeats": 4, "request_timeout": "2s"}
    )
    assert wall_cap_ns(assignment(spec=spec)) == (4 * (40 + 30 + 2 + 15) + 20 + 60) * S


@pytest.mark.parametrize("pattern", EVERY_PATTERN)
def test_every_pattern_has_time_for_its_whole_plan(pattern: str) -> None:
    """Warm-up and window, and the time limit of a request that is sent in the last moment."""
    load = {"pattern": pattern, "warmup": "3s", "duration": "90s", "request_timeout": "7s", **EVERY_PATTERN[pattern]}
    task = assignment(spec=run_spec(workload=load))
    plan = make_plan(task.spec.workload, 1, np.arange(5, dtype=np.int64) if pattern == "trace" else None)
    assert wall_cap_ns(task) >= plan.end_ns + 7 * S + task.spec.service.ready_timeout + 60 * S


def test_a_large_model_gets_time_to_arrive() -> None:
    """One second for each megabyte."""
    pin = ModelPin(name="big", version=1, sha256="0" * 64, size_bytes=500_000_000)
    grown_ns = wall_cap_ns(assignment(model=pin)) - wall_cap_ns(assignment())
    assert grown_ns == 500 * S


def test_a_large_trace_gets_time_to_arrive() -> None:
    """A trace is fetched like a model."""
    pin = BlobPin(name="june", version=1, sha256="0" * 64, size_bytes=7_000_000)
    with_trace = assignment().model_copy(update={"trace": pin})
    grown_ns = wall_cap_ns(with_trace) - wall_cap_ns(assignment())
    assert grown_ns == 7 * S


def test_an_attempt_that_hangs_is_timed_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The alarm interrupts a wait that nothing else would end, and the outcome says so."""

    def hang(*_args: object) -> None:
        time.sleep(60)

    directory = AttemptDir(tmp_path)
    monkeypatch.setattr(AttemptDir, "read_order", lambda _self: _Order())
    monkeypatch.setattr(entry, "wall_cap_ns", lambda _assignment: S // 5)
    monkeypatch.setattr(entry, "execute", hang)
    outcome = entry.attempt(directory, Story(lambda _line: None, SystemClock()))
    assert isinstance(outcome, Failure)
    assert outcome.cause is Cause.TIMED_OUT


class _Order:
    """An order of which only the assignment is looked at."""

    assignment = assignment()


@pytest.mark.parametrize(
    ("error", "cause", "detail"),
    [
        (AttemptFailed(Cause.SERVER_DIED, "gone", log_tail="last words"), Cause.SERVER_DIED, "gone"),
        (OSError(28, "No space left on device"), Cause.DISK_FULL, "OSError: [Errno 28] No space left on device"),
        (ValueError("first line\nsecond line"), Cause.FOLLOWER_ERROR, "ValueError: first line"),
    ],
)
def test_every_error_becomes_a_cause_and_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, cause: Cause, detail: str
) -> None:
    """Its own cause where it has one; a full disk by its number; anything else is a fault of ours."""

    def fail(*_args: object) -> None:
        raise error

    monkeypatch.setattr(AttemptDir, "read_order", lambda _self: _Order())
    monkeypatch.setattr(entry, "execute", fail)
    outcome = entry.attempt(AttemptDir(tmp_path), Story(lambda _line: None, SystemClock()))
    assert isinstance(outcome, Failure)
    assert (outcome.cause, outcome.detail) == (cause, detail)
