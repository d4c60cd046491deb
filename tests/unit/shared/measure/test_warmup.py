"""What is left out at the start: by time, by count and by drift; and that level data lose nothing."""

from collections.abc import Callable

import numpy as np
import pytest
from support.queues import Run, Seconds, arrivals, run_of
from support.samples import MS, ORIGIN_NS, answered, closed_plan, columns_of, not_sent, open_plan

from shared.measure.warmup import WarmUp, after_warmup

Law = Callable[[np.random.Generator, int], Seconds]
END_S = 12.0
LAWS: dict[str, Law] = {
    "exponential": lambda draw, n: draw.exponential(0.004, n),
    "log-normal 0.3": lambda draw, n: draw.lognormal(-5.5, 0.3, n),
    "log-normal 1.5": lambda draw, n: draw.lognormal(-5.5, 1.5, n),
}


def level_run(seed: int, law: Law, rate: float) -> Run:
    """Independent latencies of one law over two seconds of warm-up and ten of window."""
    draw = np.random.default_rng(seed)
    due_s = arrivals(draw, rate, END_S)
    return run_of(due_s, law(draw, len(due_s)), 2.0, END_S, rate=rate)


def cooling_run(seed: int, cold_s: float, factor: float, pattern: str = "poisson") -> Run:
    """Latencies ``factor`` times as long until ``cold_s`` after the plan's zero."""
    draw = np.random.default_rng(seed)
    due_s = arrivals(draw, 100.0, END_S)
    latency_s = draw.lognormal(-5.5, 0.3, len(due_s)) * np.where(due_s < cold_s, factor, 1.0)
    return run_of(due_s, latency_s, 2.0, END_S, rate=100.0, pattern=pattern)


def warm(run: Run) -> WarmUp:
    """The rule's answer."""
    return after_warmup(run.columns, run.plan, ORIGIN_NS)


def left_out_s(run: Run) -> float:
    """From the plan's zero to the measured window."""
    return (warm(run).window.start_ns - ORIGIN_NS) / 1e9


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("rate", [14.0, 50.0, 300.0])
def test_level_data_lose_nothing(law: str, rate: float) -> None:
    """In at most 2 % of 300 seeds is more left out than was asked for, from 140 requests to 3,000."""
    longer = [left_out_s(level_run(seed, LAWS[law], rate)) > 2.0 for seed in range(300)]
    assert np.mean(longer) <= 0.02


@pytest.mark.parametrize("factor", [1.5, 3.0, 0.6])
def test_a_start_that_differs_is_left_out(factor: float) -> None:
    """Half as long again, or shorter, for 1.6 s into the window: the first two of twelve segments go, rarely more."""
    found = [left_out_s(cooling_run(seed, 3.6, factor)) for seed in range(50)]
    expected = 2 + 2 * 10 / 12
    assert np.mean([value == pytest.approx(expected) for value in found]) >= 0.94
    assert max(found) <= 2 + 4 * 10 / 12 + 1e-9


def test_a_cold_start_of_a_few_requests_goes_with_its_segment() -> None:
    """About ten requests of twenty times the latency, at the window's start."""
    found = [left_out_s(cooling_run(seed, 2.1, 20.0)) for seed in range(50)]
    assert np.mean([value > 2.0 for value in found]) >= 0.9


def test_at_most_a_third_is_given_up_and_then_the_run_did_not_settle() -> None:
    """Four segments of twelve; a fifth that differs says that waiting longer would not have helped."""
    result = warm(cooling_run(1, 2 + 5 * 10 / 12, 4.0))
    assert not result.settled
    assert result.window.start_ns - ORIGIN_NS == pytest.approx((2 + 10 / 3) * 1e9, abs=2)
    settled = warm(cooling_run(1, 2 + 4 * 10 / 12, 4.0))
    assert settled == WarmUp(result.window, settled=True)


def test_what_changes_in_the_middle_is_no_warm_up() -> None:
    """Cold for 60 % of the window: there is no level to wait for; the thirds of the window will say so."""
    assert left_out_s(cooling_run(1, 8.0, 4.0)) == 2.0


@pytest.mark.parametrize("pattern", ["ramp", "step", "spike", "sine", "trace", "mmpp"])
def test_what_is_not_level_on_purpose_keeps_its_window(pattern: str) -> None:
    """Its start belongs to what was asked for."""
    assert left_out_s(cooling_run(1, 3.6, 3.0, pattern)) == 2.0


def test_an_offline_run_keeps_its_window() -> None:
    """Everything is due at its start."""
    plan = open_plan([100.0] * 50, warmup_ms=100, duration_ms=1000)
    columns = columns_of(*(answered(100, 10.0 * (i + 1)) for i in range(50)))
    assert after_warmup(columns, plan, ORIGIN_NS).window.start_ns == ORIGIN_NS + 100 * MS


def test_a_closed_loop_warms_every_slot_once() -> None:
    """Four slots of 50 ms without a warm-up: the window begins when four requests have ended."""
    columns = columns_of(*(answered(50.0 * i, 50.0) for i in range(20) for _ in range(4)))
    result = after_warmup(columns, closed_plan(4, warmup_ms=0, duration_ms=1000), ORIGIN_NS)
    assert result.window.start_ns == ORIGIN_NS + 50 * MS + 1
    assert after_warmup(columns, closed_plan(4, warmup_ms=100, duration_ms=900), ORIGIN_NS).window.start_ns == (
        ORIGIN_NS + 100 * MS
    )


def test_an_open_loop_waits_for_as_many_answers_as_were_in_flight() -> None:
    """Three in flight at the start of the window: it begins when the third answer is there."""
    rows = [answered(0, 130), answered(10, 130), answered(20, 130), *(answered(100.0 + 10 * i, 5) for i in range(90))]
    plan = open_plan([0, 10, 20, *(100.0 + 10 * i for i in range(90))], warmup_ms=100, duration_ms=900)
    assert after_warmup(columns_of(*rows), plan, ORIGIN_NS).window.start_ns == ORIGIN_NS + 125 * MS + 1


def test_without_a_warm_up_an_open_loop_begins_at_once() -> None:
    """Nothing was in flight before, so nothing is waited for."""
    rows = [answered(10.0 * i, 5) for i in range(100)]
    plan = open_plan([10.0 * i for i in range(100)], warmup_ms=0, duration_ms=1000)
    assert after_warmup(columns_of(*rows), plan, ORIGIN_NS).window.start_ns == ORIGIN_NS


def test_waiting_for_answers_is_bounded_too() -> None:
    """A server that never answers gives up a third of the window and no more."""
    rows = [not_sent(10.0 * i) for i in range(100)]
    stuck = [answered(0, 5000.0), *rows[1:]]
    plan = open_plan([10.0 * i for i in range(100)], warmup_ms=100, duration_ms=900)
    assert after_warmup(columns_of(*stuck), plan, ORIGIN_NS).window.start_ns == ORIGIN_NS + 400 * MS
    assert after_warmup(columns_of(*rows), plan, ORIGIN_NS).window.start_ns == ORIGIN_NS + 100 * MS
