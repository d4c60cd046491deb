"""Three parts and slopes: drifts that were put in are found, and sampling noise is not called a drift."""

from collections.abc import Callable

import numpy as np
import pytest
from support.queues import Run, Seconds, arrivals, run_of
from support.samples import ORIGIN_NS

from shared.measure.stationarity import Stationarity, span_count, stationarity_of
from shared.measure.windows import window_of

SEEDS = 60


def judged(run: Run, *, closed: bool = False) -> Stationarity:
    """Over the planned window."""
    return stationarity_of(run.columns, window_of(run.plan, ORIGIN_NS), closed=closed)


def shaped(seed: int, shape: Callable[[Seconds], Seconds], requests: int = 1000) -> Run:
    """Log-normal latencies of 5 ms, times a shape over the window (0 to 1), at 100 requests a second."""
    draw = np.random.default_rng(seed)
    end_s = 2.0 + requests / 100
    due_s = arrivals(draw, 100.0, end_s)
    latency_s = 0.005 * draw.lognormal(0, 0.3, len(due_s)) * shape((due_s - 2.0) / (end_s - 2.0))
    return run_of(due_s, latency_s, 2.0, end_s, rate=100.0)


def level(place: Seconds) -> Seconds:
    """No drift."""
    return np.ones(len(place))


@pytest.mark.parametrize(
    ("shape", "named"),
    [
        (lambda place: 1 + 0.4 * place, "latency changed by +"),
        (lambda place: 1.6 - 0.6 * place, "latency changed by -"),
        (lambda place: np.where(place > 2 / 3, 1.4, 1.0), "latency"),
        (lambda place: np.where(abs(place - 0.5) < 1 / 6, 1.4, 1.0), "latency differs by"),
    ],
)
def test_a_drift_of_some_ten_percent_is_found(shape: Callable[[Seconds], Seconds], named: str) -> None:
    """A slope up or down, a step, and a hump that no slope shows: in at least 95 % of the seeds."""
    found = [list(judged(shaped(seed, shape)).drifts()) for seed in range(SEEDS)]
    assert np.mean([any(f"drifting: {named}" in reason for reason in reasons) for reasons in found]) >= 0.95


@pytest.mark.parametrize("requests", [140, 500, 3000])
def test_a_level_run_is_not_called_drifting(requests: int) -> None:
    """From 140 requests on, over 300 seeds: at most 1 %."""
    alarms = [bool(list(judged(shaped(seed, level, requests)).drifts())) for seed in range(300)]
    assert np.mean(alarms) <= 0.01


def test_thirds_of_140_poisson_arrivals_differ_by_chance_and_are_not_drift() -> None:
    """Most of such runs have thirds more than 10 % apart; none of these is called drifting for it."""
    counted = []
    for seed in range(SEEDS):
        run = shaped(seed, level, 140)
        due = run.columns["due_ns"]
        parts = [np.count_nonzero(part.holds(due)) for part in window_of(run.plan, ORIGIN_NS).split(3)]
        counted.append(max(parts) / min(parts) > 1.1)
        assert not list(judged(run).drifts())
    assert np.mean(counted) > 0.7


def test_a_change_below_ten_percent_does_not_matter() -> None:
    """Significant with 20,000 requests, and of no consequence."""
    found = judged(shaped(1, lambda place: 1 + 0.06 * place, 20_000))
    assert found.latency is not None
    assert found.latency.slope_p < 1e-4
    assert not list(found.drifts())


def test_a_slowing_closed_loop_drifts_in_its_rate() -> None:
    """One slot whose answers take 5 ms at first and 7 ms in the end; what is in flight cannot vary."""
    latency_s = np.linspace(0.005, 0.007, 1700)
    due_s = np.concatenate([[0.0], np.cumsum(latency_s)[:-1]])
    run = run_of(due_s, latency_s, 0.0, 10.0, pattern="closed", concurrency=1)
    found = judged(run, closed=True)
    assert found.in_flight is None
    assert any("completed rate" in reason for reason in found.drifts())


def test_failures_that_set_in_late_are_a_drift_of_the_completed_rate() -> None:
    """The last third of the requests fails: the latency of the rest does not tell."""
    run = shaped(2, level)
    late = run.columns["due_ns"] > ORIGIN_NS + 8_600_000_000
    failing = run_of(
        (run.columns["due_ns"] - ORIGIN_NS) / 1e9, np.full(len(late), 0.005), 2.0, 12.0, rate=100.0, failed=late
    )
    assert any("completed rate" in reason for reason in judged(failing).drifts())


def test_the_spread_is_that_of_the_widest_third() -> None:
    """Latencies of 5, 5 and 10 ms: twice as long."""
    run = shaped(3, lambda place: np.where(place > 2 / 3, 2.0, 1.0), 3000)
    assert judged(run).spread == pytest.approx(1.0, abs=0.1)


@pytest.mark.parametrize(("successes", "spans"), [(0, None), (44, None), (45, 9), (140, 27), (10_000, 30)])
def test_the_window_is_cut_as_its_requests_allow(successes: int, spans: int | None) -> None:
    """Multiples of three with five requests each; fewer than 45 requests tell nothing."""
    assert span_count(successes) == spans


def test_few_requests_are_evidence_of_nothing() -> None:
    """No trend, no spread, no drift."""
    found = judged(shaped(1, level, 20))
    assert (found.latency, found.rate, found.in_flight, found.spread) == (None, None, None, None)
    assert not list(found.drifts())
