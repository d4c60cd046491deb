"""Percentiles and summaries, against ranks counted by hand."""

import statistics

import numpy as np
import pytest
from support.samples import MS, Sent, columns_of

from shared.measure.latency import percentile_ms, rank, response_ns, service_ns, summarize


@pytest.mark.parametrize(
    ("n", "per_mille", "expected"),
    [
        (1, 500, 1),
        (2, 500, 1),
        (3, 500, 2),
        (100, 990, 99),
        (101, 990, 100),
        (10, 900, 9),
        (1000, 999, 999),
        (0, 500, 0),
    ],
)
def test_rank_is_the_smallest_that_covers_the_share(n: int, per_mille: int, expected: int) -> None:
    """Nearest rank: ceil(q * n), with none of the surprises of floating point."""
    assert rank(n, per_mille) == expected


def test_percentile_is_a_sample_and_never_between_two() -> None:
    """p50 of 1, 2, 3, 100 ms is 2 ms."""
    samples = np.array([1, 2, 3, 100], dtype=np.int64) * MS
    assert percentile_ms(samples, 500) == 2.0
    assert percentile_ms(samples, 990) == 100.0


def test_failures_take_the_places_of_the_slowest() -> None:
    """With 5 failures beside 95 successes, p95 is the slowest success and p99 is not finite."""
    samples = np.arange(1, 96, dtype=np.int64) * MS
    assert percentile_ms(samples, 950, failures=5) == 95.0
    assert percentile_ms(samples, 990, failures=5) is None


def test_no_sample_gives_no_number() -> None:
    """None, never zero."""
    summary = summarize(np.zeros(0, dtype=np.int64))
    assert summary.n == 0
    assert set(summary.model_dump(exclude={"n"}).values()) == {None}


def test_one_sample_has_no_deviation() -> None:
    """A deviation needs two."""
    summary = summarize(np.array([3 * MS]))
    assert summary.p99_ms == summary.mean_ms == summary.max_ms == 3.0
    assert summary.stddev_ms is None


def test_summary_agrees_with_the_definitions() -> None:
    """Mean, deviation and percentiles of 200 known values, in any order."""
    values = [float((7 * i) % 200 + 1) for i in range(200)]
    summary = summarize(np.array(values, dtype=np.int64) * MS)
    assert summary.n == 200
    assert summary.mean_ms == pytest.approx(statistics.mean(values))
    assert summary.stddev_ms == pytest.approx(statistics.stdev(values))
    assert (summary.min_ms, summary.p50_ms, summary.p90_ms) == (1.0, 100.0, 180.0)
    assert (summary.p95_ms, summary.p99_ms, summary.max_ms) == (190.0, 198.0, 200.0)


def test_response_counts_from_the_due_time_and_service_from_the_send() -> None:
    """A request due at 10, sent at 250, answered at 255 and processed by 257 took 247 and 5 ms."""
    columns = columns_of(Sent(due=10, start=240, send=250, last=255, done=257))
    assert response_ns(columns).tolist() == [247 * MS]
    assert service_ns(columns).tolist() == [5 * MS]
