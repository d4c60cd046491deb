"""The live view on rows that the test writes: rate, percentiles, what is still in flight."""

from typing import Any

import numpy as np
import pytest
from support.workloads import workload

from follower.attempt.live import LiveView, line_of
from shared.measure.columns import COLUMNS, ERROR_KINDS, Columns
from shared.workload.arrivals import make_plan

ORIGIN_NS = 10**15
MS = 1_000_000
S = 1_000_000_000
PLAN = make_plan(workload(pattern="constant", rate=100, warmup="1s", duration="4s"), 1)
TIMEOUT = ERROR_KINDS.index("timeout")


def rows(due_ms: Any, response_ms: Any = 0, service_ms: Any = 0, error: int = 0) -> Columns:
    """Requests that have ended; due at these times after the origin."""
    due_ms = np.asarray(due_ms, dtype=np.int64)
    columns = {name: np.zeros(len(due_ms), dtype=kind) for name, kind in COLUMNS.items()}
    columns["due_ns"][:] = ORIGIN_NS + due_ms * MS
    columns["done_ns"][:] = columns["due_ns"] + np.asarray(response_ms) * MS
    columns["last_byte_ns"][:] = columns["done_ns"]
    columns["send_start_ns"][:] = columns["last_byte_ns"] - np.asarray(service_ms) * MS
    columns["error"][:] = error
    return columns


def view() -> LiveView:
    """Nothing has ended yet."""
    return LiveView(plan=PLAN, origin_ns=ORIGIN_NS)


def test_percentiles_are_of_the_windows_requests() -> None:
    """Response and service apart, to the histogram's one per cent; the warm-up's do not count."""
    live = view()
    live.take(rows(np.arange(0, 1000, 10), 900, 900))
    live.take(rows(np.arange(1000, 2000, 10), np.arange(1, 101), 5))
    figures = live.figures(ORIGIN_NS + 2 * S)
    assert figures["response_p50_ms"] == pytest.approx(50, rel=0.01)
    assert figures["response_p99_ms"] == pytest.approx(99, rel=0.01)
    assert figures["service_p50_ms"] == figures["service_p99_ms"] == pytest.approx(5, rel=0.01)


def test_the_rate_is_of_the_time_since_the_last_look() -> None:
    """Warm-up included at first; then only what was completed since."""
    live = view()
    live.take(rows(np.arange(0, 2000, 10)))
    assert live.figures(ORIGIN_NS + 2 * S)["rate_rps"] == pytest.approx(100)
    live.take(rows(np.arange(2000, 2500, 10)))
    assert live.figures(ORIGIN_NS + 3 * S)["rate_rps"] == pytest.approx(50)
    assert live.figures(ORIGIN_NS + 4 * S)["rate_rps"] == 0


def test_in_flight_is_what_was_due_and_has_not_ended() -> None:
    """Of the whole run: 200 were due by the second second, 150 have ended, in whatever way."""
    live = view()
    live.take(rows(np.arange(0, 1000, 10)))
    live.take(rows(np.arange(1000, 1500, 10), error=TIMEOUT))
    figures = live.figures(ORIGIN_NS + 2 * S - 1)
    assert figures["in_flight"] == 50
    assert figures["errors"] == 50


def test_a_closed_loop_has_its_concurrency_in_flight() -> None:
    """Whatever ended."""
    plan = make_plan(workload(pattern="closed", concurrency=7), 1)
    assert LiveView(plan=plan, origin_ns=ORIGIN_NS).figures(ORIGIN_NS + S)["in_flight"] == 7


def test_failures_are_no_latencies() -> None:
    """Nor are those of the warm-up errors of the window."""
    live = view()
    live.take(rows([500], error=TIMEOUT))
    live.take(rows([1500], 700, error=TIMEOUT))
    figures = live.figures(ORIGIN_NS + 2 * S)
    assert figures["response_p50_ms"] is None
    assert figures["errors"] == 1


def test_the_line_says_what_is_not_known_yet() -> None:
    """And the figures, once they are."""
    live = view()
    first = line_of(live.figures(ORIGIN_NS + S))
    assert "p50 n/a ms" in first
    live.take(rows(np.arange(1000, 2000, 10), 12, 12))
    line = line_of(live.figures(ORIGIN_NS + 2 * S))
    assert line.startswith("1 of 4 s · 100/s · response p50 12 ms, p99 12 ms · ")
    assert line.endswith("· 0 errors")
