"""Level or not: spans counted by hand, and the false alarms of the tests on noise with and without memory."""

import numpy as np
import pytest
from scipy import stats  # type: ignore[import-untyped]

from shared.measure.batches import counts, mean_open, means
from shared.measure.trend import shift_p, trend_of
from shared.measure.windows import Window, time_inside_ns

WINDOW = Window(1000, 2000)


def test_times_are_counted_in_their_span() -> None:
    """Five spans of 200 ns; what lies outside of the window is not counted."""
    times = np.array([999, 1000, 1199, 1200, 1999, 2000])
    assert counts(times, WINDOW, 5).tolist() == [2, 1, 0, 0, 1]


def test_means_are_of_each_span_and_of_all_where_a_span_is_empty() -> None:
    """An empty span tells nothing, so it pulls nowhere."""
    times, values = np.array([1000, 1100, 1300, 1900]), np.array([1.0, 3.0, 4.0, 8.0])
    assert means(times, values, WINDOW, 5).tolist() == [2.0, 4.0, 4.0, 4.0, 8.0]
    assert means(times[:0], values[:0], WINDOW, 3).tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("seed", range(5))
def test_the_mean_open_is_the_time_inside_over_the_span(seed: int) -> None:
    """Against the sum over single requests, which straddle edges, spans and the whole window."""
    draw = np.random.default_rng(seed)
    start = draw.integers(0, 2500, 300)
    end = start + draw.integers(0, 1500, 300)
    found = mean_open(start, end, WINDOW, 4)
    for part, value in zip(WINDOW.split(4), found, strict=True):
        assert value == pytest.approx(time_inside_ns(start, end, part).sum() / 250)


def autoregression(seed: int, phi: float, n: int = 30) -> np.ndarray:
    """A level row whose neighbours resemble each other."""
    draw = np.random.default_rng(seed)
    values = [draw.normal()]
    for _ in range(n - 1):
        values.append(phi * values[-1] + draw.normal() * np.sqrt(1 - phi**2))
    return np.array(values)


@pytest.mark.parametrize(("phi", "most"), [(0.0, 0.06), (0.3, 0.09), (0.6, 0.12)])
def test_level_rows_are_rarely_called_anything_else(phi: float, most: float) -> None:
    """At the 5 % level, over 2000 seeds: close to 5 %, and at most twice as many where the noise has a memory."""
    trends = [trend_of(autoregression(seed, phi)) for seed in range(2000)]
    assert np.mean([trend.slope_p < 0.05 for trend in trends]) <= most
    assert np.mean([trend.parts_p < 0.05 for trend in trends]) <= most
    shifts = [shift_p(row[:3], row[3:]) for row in (autoregression(seed, phi) for seed in range(2000))]
    assert np.mean([p < 0.05 for p in shifts]) <= most


def test_without_memory_correction_the_same_rows_would_be_called_drifting() -> None:
    """A plain regression on rows with a memory of 0.6 finds a slope in one of five."""
    places = np.arange(30)
    plain = [stats.linregress(places, autoregression(seed, 0.6)).pvalue < 0.05 for seed in range(500)]
    assert np.mean(plain) > 0.2


@pytest.mark.parametrize("phi", [0.0, 0.3])
def test_a_clear_slope_and_a_clear_step_are_found(phi: float) -> None:
    """Three standard deviations from end to end, or between thirds."""
    slope, step = np.linspace(0, 4, 30), np.repeat([0.0, 0.0, 3.0], 10)
    rows = [autoregression(seed, phi) for seed in range(300)]
    assert np.mean([trend_of(row + slope).slope_p < 0.05 for row in rows]) > 0.9
    assert np.mean([trend_of(row + step).parts_p < 0.05 for row in rows]) > 0.9
    assert np.mean([shift_p(row[:3] + 4, row[3:]) < 0.05 for row in rows]) > 0.9


def test_figures_of_an_exact_line() -> None:
    """0 to 29: thirds of 4.5, 14.5 and 24.5, thirty from end to end, and no doubt."""
    trend = trend_of(np.arange(30.0))
    assert trend.part_means == (4.5, 14.5, 24.5)
    assert trend.change == pytest.approx(30)
    assert trend.slope_p < 1e-6


def test_a_constant_row_is_level() -> None:
    """No noise and no change is no drift; no noise and a shift is one."""
    trend = trend_of(np.full(12, 5.0))
    assert (trend.slope_p, trend.parts_p, trend.change) == (1.0, 1.0, 0.0)
    assert shift_p(np.full(3, 5.0), np.full(9, 5.0)) == 1.0
    assert shift_p(np.full(3, 9.0), np.full(9, 5.0)) == 0.0


def test_a_row_that_is_all_memory_tells_nothing() -> None:
    """A random walk of nine steps is worth too little to speak of a shift at its start."""
    assert shift_p(np.array([-9.0, -8.0, -7.0]), np.arange(9.0) * 10) == 1.0
