"""Readings to a summary, by hand."""

import pytest

from follower.collect.series import Reading, summarize_resources

SECOND = 1_000_000_000


def reading(at_s: float, cpu_s: float, rss: int = 100) -> Reading:
    """A reading in seconds."""
    return Reading(round(at_s * SECOND), round(cpu_s * SECOND), rss)


def test_mean_and_maximum_over_the_whole_time() -> None:
    """Half a core for a second, then two cores for a second."""
    summary = summarize_resources([reading(10, 0, 5), reading(11, 0.5, 9), reading(12, 2.5, 7)])
    assert summary.cpu_mean_pct == pytest.approx(125)
    assert summary.cpu_max_pct == pytest.approx(200)
    assert summary.rss_max_bytes == 9
    assert summary.samples == 3


def test_only_readings_inside_the_window_count() -> None:
    """What was used before and after does not show, nor the memory held then."""
    series = [reading(0, 0, 999), reading(1, 1), reading(2, 1.1), reading(3, 1.2), reading(4, 9, 999)]
    summary = summarize_resources(series, 1 * SECOND, 4 * SECOND)
    assert summary.cpu_mean_pct == pytest.approx(10)
    assert summary.rss_max_bytes == 100
    assert summary.samples == 3


def test_short_spans_do_not_make_a_maximum_of_rounding() -> None:
    """One tick more in one of many short spans: the maximum stays near the mean."""
    series = [reading(0.1 * i, 0.01 * i + (0.01 if i > 7 else 0)) for i in range(21)]
    summary = summarize_resources(series)
    assert summary.cpu_max_pct == pytest.approx(12)


def test_a_window_shorter_than_a_span_has_its_mean_as_maximum() -> None:
    """There is no longer span to look at."""
    summary = summarize_resources([reading(0, 0), reading(0.2, 0.1)])
    assert summary.cpu_mean_pct == summary.cpu_max_pct == pytest.approx(50)


@pytest.mark.parametrize("series", [[], [reading(1, 1)]])
def test_too_few_readings_are_no_number(series: list[Reading]) -> None:
    """Never zero."""
    summary = summarize_resources(series)
    assert summary.cpu_mean_pct is None
    assert summary.cpu_max_pct is None
    assert summary.samples == len(series)
