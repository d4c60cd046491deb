"""Closed loops, offline, traces and MLPerf's scenarios: plans that can be worked out by hand."""

import numpy as np
import pytest
from support.workloads import EVERY_PATTERN, workload

from shared.errors import InvalidInput
from shared.workload.arrivals import make_plan

S = 1_000_000_000
TRACE_NS = np.array([0, 0, S, 3 * S, 9 * S, 10 * S, 10 * S + 1], dtype=np.int64)


def test_a_closed_loop_keeps_its_think_time() -> None:
    """The pause between an answer and the slot's next request is part of the plan and of its digest."""
    plain = make_plan(workload(pattern="closed", concurrency=4), 3)
    thinking = make_plan(workload(pattern="closed", concurrency=4, think_time="250ms"), 3)
    assert (plain.concurrency, plain.think_time_ns) == (4, 0)
    assert thinking.think_time_ns == 250_000_000
    assert thinking.sha256 != plain.sha256


def test_offline_is_due_all_at_once_at_the_windows_start() -> None:
    """A hundred requests at 1 s; before it a burst of as many as may be in flight, due at 0."""
    plan = make_plan(workload(pattern="offline", requests=100, max_in_flight=8), 3)
    assert plan.due_ns.tolist() == [0] * 8 + [S] * 100
    assert (plan.max_in_flight, plan.concurrency) == (8, None)
    assert plan.rate_rps is None


def test_offline_without_warmup_has_no_burst() -> None:
    """Only the requests that count are due, all at 0."""
    plan = make_plan(workload(pattern="offline", requests=5, warmup="0s"), 3)
    assert plan.due_ns.tolist() == [0] * 5
    assert plan.max_in_flight == 64


def test_a_trace_is_replayed_to_the_nanosecond_and_cut_at_the_end() -> None:
    """Arrivals of 10 s and later are outside a warm-up of 1 s and a window of 9 s; equal arrivals both stay."""
    plan = make_plan(workload(pattern="trace", trace="june", duration="9s"), 3, TRACE_NS)
    assert plan.due_ns.tolist() == [0, 0, S, 3 * S, 9 * S]
    assert plan.rate_rps == pytest.approx(3 / 9)  # three of them are due inside the window


def test_a_trace_at_twice_the_speed_takes_half_its_time() -> None:
    """Every due time is halved, and what is then before the end is in."""
    plan = make_plan(workload(pattern="trace", trace="june", speed=2), 3, TRACE_NS)
    assert plan.due_ns.tolist() == [0, 0, S // 2, 3 * S // 2, 9 * S // 2]
    slow = make_plan(workload(pattern="trace", trace="june", speed=0.5), 3, TRACE_NS)
    assert slow.due_ns.tolist() == [0, 0, 2 * S]


def test_a_trace_at_its_own_speed_passes_through_no_floating_point_number() -> None:
    """The last nanosecond of a day is replayed as such."""
    day_ns = np.array([0, 86_399_999_999_999], dtype=np.int64)
    plan = make_plan(workload(pattern="trace", trace="x", warmup="0s", duration="24h"), 1, day_ns)
    assert plan.due_ns.tolist() == [0, 86_399_999_999_999]


def test_a_trace_and_its_pattern_belong_together() -> None:
    """Neither goes without the other."""
    with pytest.raises(InvalidInput, match="needs the trace 'june'"):
        make_plan(workload(pattern="trace", trace="june"), 3)
    with pytest.raises(InvalidInput, match="goes with pattern trace, and with no other; found closed"):
        make_plan(workload(pattern="closed"), 3, TRACE_NS)


@pytest.mark.parametrize("scenario", ["single-stream", "multi-stream"])
def test_mlperf_streams_are_closed_loops_of_one(scenario: str) -> None:
    """One query after another; that a multi-stream query has 8 samples is for the requests section to say."""
    plan = make_plan(workload(pattern="mlperf", scenario=scenario), 3)
    assert (plan.concurrency, plan.think_time_ns, len(plan.due_ns)) == (1, 0, 0)
    assert plan.rate_rps is None


def test_mlperf_server_is_poisson_of_the_same_seed() -> None:
    """The preset has the very due times of the pattern that it stands for."""
    plan = make_plan(workload(pattern="mlperf", scenario="server", rate=80, seed=9), 3)
    poisson = make_plan(workload(pattern="poisson", rate=80, seed=9), 3)
    assert plan.due_ns.tolist() == poisson.due_ns.tolist()
    assert plan.rate_rps == 80


def test_mlperf_offline_has_at_least_the_samples_of_the_rules() -> None:
    """24,576 requests unless told otherwise."""
    plan = make_plan(workload(pattern="mlperf", scenario="offline"), 3)
    assert (plan.due_ns == S).sum() == 24_576
    told = make_plan(workload(pattern="mlperf", scenario="offline", requests=50_000), 3)
    assert (told.due_ns == S).sum() == 50_000
    assert told.max_in_flight == 64


def test_a_search_has_no_plan() -> None:
    """It is a row of runs, and only they have plans."""
    with pytest.raises(InvalidInput, match="each of its probes is a run with a plan"):
        make_plan(workload(pattern="search", slo={"p99_ms": 50}), 3)


@pytest.mark.parametrize("pattern", ["constant", "poisson", "gamma", "mmpp", "ramp", "step", "spike", "sine", "trace"])
def test_an_open_loop_has_a_cap_only_where_one_is_declared(pattern: str) -> None:
    """Nothing limits what is in flight unless the job file says so, and then exactly that."""
    trace_ns = TRACE_NS if pattern == "trace" else None
    fields = EVERY_PATTERN[pattern]
    assert make_plan(workload(pattern=pattern, **fields), 3, trace_ns).max_in_flight is None
    capped = make_plan(workload(pattern=pattern, max_in_flight=7, **fields), 3, trace_ns)
    assert capped.max_in_flight == 7
    assert capped.due_ns.tolist() == make_plan(workload(pattern=pattern, **fields), 3, trace_ns).due_ns.tolist()


@pytest.mark.parametrize("pattern", ["gamma", "mmpp", "ramp", "step", "spike", "sine", "trace"])
def test_the_offered_rate_of_a_law_that_changes_is_counted(pattern: str) -> None:
    """Requests due inside the window, over its length."""
    plan = make_plan(workload(pattern=pattern, **EVERY_PATTERN[pattern]), 3, TRACE_NS if pattern == "trace" else None)
    inside = sum(1 for due_ns in plan.due_ns.tolist() if S <= due_ns < 5 * S)
    assert inside > 0
    assert plan.rate_rps == pytest.approx(inside / 4)
