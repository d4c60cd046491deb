"""The two trials: what is planned, and what is made of their columns, by hand."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.load_requests import load_request
from support.workloads import workload

from follower.calibrate.null_process import CalibrationFailed
from follower.calibrate.replies import Script
from follower.calibrate.trials import (
    LEAST_RATE_RPS,
    busiest_second_rps,
    calibration_of,
    ceiling_plan,
    ceiling_rps,
    lateness_plan,
    one_payload,
    too_fast,
)
from follower.load.protocol import LoadOutcome
from shared.measure.columns import COLUMNS, ERROR_KINDS
from shared.measure.manifest import Calibration
from shared.workload.arrivals import make_plan
from shared.workload.plan import Plan

ORIGIN_NS = 10**15
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
SCRIPT = Script(protocol="http", request_bytes=900, response=b"r" * 70)


def outcome(due_ns: Any, late_us: Any, took_us: Any, *, failed: int = 0) -> LoadOutcome:
    """Requests due at these times after the origin, each late and answered by so much; the first ``failed`` fail."""
    due_ns = np.asarray(due_ns, dtype=np.int64)
    columns = {name: np.zeros(len(due_ns), dtype=kind) for name, kind in COLUMNS.items()}
    columns["due_ns"][:] = ORIGIN_NS + due_ns
    columns["start_ns"][:] = columns["due_ns"] + np.asarray(late_us) * 1_000
    columns["send_start_ns"][:] = columns["start_ns"]
    columns["last_byte_ns"][:] = columns["send_start_ns"] + np.asarray(took_us) * 1_000
    columns["done_ns"][:] = columns["last_byte_ns"]
    columns["error"][:failed] = ERROR_KINDS.index("reset")
    return LoadOutcome(
        origin_ns=ORIGIN_NS, end_ns=ORIGIN_NS, columns=columns, max_in_flight=1, answers=(), pids=(), workers=2
    )


def calibration(ceiling: float) -> Calibration:
    """A client that can send so much."""
    return Calibration(
        protocol="http", request_bytes=1, response_bytes=1, connections=1, workers=1, ceiling_rps=ceiling,
        added_p50_us=1, added_p99_us=1, lateness_p50_us=1, lateness_p99_us=1, measured_at=NOON,
    )  # fmt: skip


def test_the_first_trial_keeps_the_runs_own_number_in_flight(tmp_path: Path) -> None:
    """Of an open loop a constant number, or what it declares."""
    assert ceiling_plan(load_request(tmp_path)).concurrency == 2
    open_loop = load_request(tmp_path, workload(pattern="poisson", rate=100))
    assert ceiling_plan(open_loop).concurrency == 16
    capped = load_request(tmp_path, workload(pattern="poisson", rate=100, max_in_flight=3))
    assert ceiling_plan(capped).concurrency == 3
    offline = load_request(tmp_path, workload(pattern="offline", requests=500, max_in_flight=64))
    assert ceiling_plan(offline).concurrency == 64
    short = load_request(tmp_path, workload(pattern="offline", requests=5, max_in_flight=64))
    assert ceiling_plan(short).concurrency == 5


def test_the_ceiling_is_what_was_completed_in_the_window() -> None:
    """One request each millisecond of the whole trial is a thousand a second; warm-up and end do not count."""
    plan = make_plan(workload(pattern="closed", warmup="100ms", duration="300ms"), 1)
    ran = outcome(np.arange(450) * 1_000_000, 0, 10)
    assert ceiling_rps(ran, plan) == pytest.approx(1_000, rel=0.01)


def test_a_disturbed_part_of_the_window_does_not_lower_the_ceiling() -> None:
    """Two thousand a second in its first third, half of that in the rest."""
    plan = make_plan(workload(pattern="closed", warmup="0s", duration="300ms"), 1)
    due_ns = np.concatenate([np.arange(0, 100_000_000, 500_000), np.arange(100_000_000, 300_000_000, 900_000)])
    assert ceiling_rps(outcome(due_ns, 0, 0), plan) == pytest.approx(2_000, rel=0.01)


def test_a_slow_client_is_judged_by_its_whole_window() -> None:
    """A handful of completions in a part is no rate."""
    plan = make_plan(workload(pattern="closed", warmup="0s", duration="300ms"), 1)
    due_ns = [0, 1_000_000, 2_000_000, 3_000_000, 120_000_000, 250_000_000]
    assert ceiling_rps(outcome(due_ns, 0, 0), plan) == pytest.approx(20)


@pytest.mark.parametrize(("failed", "of"), [(2, 100), (0, 0)])
def test_a_trial_that_fails_is_no_ceiling(failed: int, of: int) -> None:
    """More than one in a hundred, or nothing at all."""
    plan = make_plan(workload(pattern="closed"), 1)
    with pytest.raises(CalibrationFailed, match=f"{failed} of {of}"):
        ceiling_rps(outcome(np.arange(of), 0, 1, failed=failed), plan)


@pytest.mark.parametrize(
    ("rate", "ceiling", "planned"),
    [
        (1_000, 10_000, 1_000),
        (9_000, 10_000, 5_000),
        (None, 10_000, 5_000),
        (10, 10_000, LEAST_RATE_RPS),
        (10, 30, 15),
        (None, 0.5, 1),
    ],
)
def test_the_second_trial_runs_at_the_plans_rate_or_half_the_ceiling(
    rate: float | None, ceiling: float, planned: float
) -> None:
    """And fast enough to have a percentile, where the client can."""
    assert lateness_plan(rate, ceiling).rate_rps == planned


def test_figures_are_nearest_ranks_of_the_windows_requests(tmp_path: Path) -> None:
    """A hundred requests in the window, 1 to 100 µs late, 201 to 300 µs under way; the warm-up's are far off."""
    plan = make_plan(workload(pattern="constant", rate=1_000, warmup="100ms", duration="100ms"), 1)
    warmup, window = np.full(100, 50_000), np.arange(1, 101)
    ran = outcome(np.arange(200) * 1_000_000, np.concatenate([warmup, window]), np.concatenate([warmup, window + 200]))
    found = calibration_of(load_request(tmp_path), SCRIPT, ceiling=9_000, open_loop=ran, plan=plan, measured_at=NOON)
    assert (found.lateness_p50_us, found.lateness_p99_us) == (50, 99)
    assert (found.added_p50_us, found.added_p99_us) == (250, 299)
    assert (found.ceiling_rps, found.workers, found.connections) == (9_000, 2, 2)
    assert (found.protocol, found.request_bytes, found.response_bytes) == ("http", 900, 70)
    assert not found.reused


def test_a_window_without_requests_is_no_calibration(tmp_path: Path) -> None:
    """Zero would be a figure."""
    plan = make_plan(workload(pattern="constant", rate=10, warmup="1s", duration="1s"), 1)
    with pytest.raises(CalibrationFailed, match="no request"):
        calibration_of(
            load_request(tmp_path), SCRIPT, ceiling=9, open_loop=outcome([0, 5], 0, 1), plan=plan, measured_at=NOON
        )


def test_a_single_payload_is_left(tmp_path: Path) -> None:
    """Prepared or raw."""
    assert len(one_payload(load_request(tmp_path)).encoded) == 1
    raw = load_request(tmp_path, encoded=(), raw=((b"1", b"2"), (b"3",)))
    assert one_payload(raw).raw == ((b"1", b"2"),)


def plan_of(due_s: list[float], rate: float | None) -> Plan:
    """An open plan over three seconds."""
    blank = make_plan(workload(pattern="constant", rate=1, warmup="0s", duration="3s"), 1)
    due_ns = np.asarray([round(s * 1e9) for s in due_s], dtype=np.int64)
    return replace(blank, due_ns=due_ns, rate_rps=rate)


def test_a_rate_above_the_ceiling_is_told_with_both_numbers() -> None:
    """Planned, and what the client can do."""
    warning = too_fast(make_plan(workload(pattern="constant", rate=12_000), 1), calibration(9_500))
    assert warning is not None
    assert "planned 12,000/s" in warning
    assert "about 9,500/s" in warning
    assert too_fast(make_plan(workload(pattern="constant", rate=9_000), 1), calibration(9_500)) is None


def test_one_second_above_the_ceiling_is_enough() -> None:
    """A spike is planned although the mean is far below."""
    spike = plan_of([0.5, 1.1, 1.2, 1.3, 1.9, 2.5], rate=2)
    assert busiest_second_rps(spike) == 4
    assert "planned 4/s" in (too_fast(spike, calibration(3)) or "")
    assert too_fast(spike, calibration(4)) is None


def test_a_plan_without_a_rate_asks_for_none() -> None:
    """Everything at once is not a rate, and a closed loop takes what it gets."""
    assert too_fast(plan_of([0, 0, 0], rate=None), calibration(1)) is None
    assert too_fast(make_plan(workload(pattern="closed"), 1), calibration(1)) is None


def test_the_last_part_of_a_second_is_not_counted_as_one() -> None:
    """Nor is there a busiest one in less than a second."""
    short = replace(plan_of([0.1, 0.2], rate=4), duration_ns=500_000_000)
    assert busiest_second_rps(short) == 0
