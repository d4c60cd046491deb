"""Percentiles and summaries, against ranks counted by hand."""

import statistics

import numpy as np
import pytest
from support.samples import MS, Sent, columns_of

from shared.measure.latency import percentile_ms, rank, response_ns, service_ns, summarize, wire_ns
from shared.measure.record import PERCENTILES


@pytest.mark.parametrize(
    ("n", "q", "expected"),
    [
        (1, 0.5, 1),
        (2, 0.5, 1),
        (3, 0.5, 2),
        (100, 0.99, 99),
        (101, 0.99, 100),
        (10, 0.9, 9),
        (1000, 0.999, 999),
        (1001, 0.999, 1000),
        (0, 0.5, 0),
    ],
)
def test_rank_is_the_smallest_that_covers_the_share(n: int, q: float, expected: int) -> None:
    """Nearest rank: ceil(q * n), with none of the surprises of floating point."""
    assert rank(n, q) == expected


def test_percentile_is_a_sample_and_never_between_two() -> None:
    """p50 of 1, 2, 3, 100 ms is 2 ms."""
    samples = np.array([1, 2, 3, 100], dtype=np.int64) * MS
    assert percentile_ms(samples, 0.5) == 2.0
    assert percentile_ms(samples, 0.99) == 100.0


def test_failures_take_the_places_of_the_slowest() -> None:
    """With 5 failures beside 95 successes, p95 is the slowest success and p99 is not finite."""
    samples = np.arange(1, 96, dtype=np.int64) * MS
    assert percentile_ms(samples, 0.95, failures=5) == 95.0
    assert percentile_ms(samples, 0.99, failures=5) is None


def test_no_sample_gives_no_number() -> None:
    """None, never zero; and no percentile is certified."""
    summary = summarize(np.zeros(0, dtype=np.int64))
    assert summary.n == 0
    assert set(summary.model_dump(exclude={"n", "percentiles"}).values()) == {None}
    for found in summary.percentiles.values():
        assert (found.ms, found.low_ms, found.high_ms, found.certified) == (None, None, None, False)
        assert found.reason is not None


def test_one_sample_has_no_deviation() -> None:
    """A deviation needs two, and a percentile eleven."""
    summary = summarize(np.array([3 * MS]))
    assert summary.mean_ms == summary.max_ms == summary.min_ms == 3.0
    assert summary.stddev_ms is None
    assert summary.ms("p50") is None


def shuffled(n: int) -> np.ndarray:
    """1 to n ms, each once, in an order without memory."""
    return np.random.default_rng(n).permutation(np.arange(1, n + 1)).astype(np.int64) * MS


def test_summary_agrees_with_the_definitions() -> None:
    """Mean, deviation and percentiles of 2000 known values, in any order."""
    values = shuffled(2000)
    summary = summarize(values)
    in_ms = (values / MS).tolist()
    assert summary.n == 2000
    assert summary.mean_ms == pytest.approx(statistics.mean(in_ms))
    assert summary.stddev_ms == pytest.approx(statistics.stdev(in_ms))
    assert (summary.min_ms, summary.max_ms) == (1.0, 2000.0)
    assert [summary.ms(name) for name in PERCENTILES] == [1000.0, 1800.0, 1900.0, 1980.0, None]


def test_each_percentile_has_its_interval() -> None:
    """Order statistics: of 1000 independent samples the median lies between the 469th and the 532nd."""
    found = summarize(shuffled(1000)).percentiles["p50"]
    assert found.low_ms is not None
    assert found.high_ms is not None
    assert 465 <= found.low_ms <= 469
    assert 532 <= found.high_ms <= 536
    assert found.certified


def test_too_small_a_sample_is_not_certified_and_says_what_it_needs() -> None:
    """600 samples certify p95, and lack a few dozen for p99; what is known of it is an interval that is open above."""
    summary = summarize(shuffled(600))
    p99 = summary.percentiles["p99"]
    assert (p99.ms, p99.certified) == (None, False)
    assert p99.reason is not None
    assert p99.reason.endswith("effective samples, 662 are needed")
    assert p99.low_ms is not None
    assert summary.percentiles["p95"].certified
    assert summary.percentiles["p99.9"].high_ms is None


def test_alike_neighbours_certify_less() -> None:
    """2000 latencies that only rise are worth one: nothing is certified, though n would do."""
    summary = summarize(np.arange(1, 2001, dtype=np.int64) * MS)
    assert summary.n == 2000
    assert summary.n_effective == pytest.approx(1, abs=0.5)
    assert not any(found.certified for found in summary.percentiles.values())


def test_failures_stand_beside_the_successes_as_requests_that_took_for_ever() -> None:
    """Every twentieth of 1000 failed: p95 with failures is the slowest success; p99 is certified to be infinite."""
    durations = shuffled(1000)
    failed = np.zeros(1000, dtype=np.bool_)
    failed[::20] = True
    summary = summarize(durations, failed=failed)
    successes = np.sort(durations[~failed]) / MS
    assert summary.n == 950
    assert summary.ms("p50") == successes[474]
    assert summary.with_failures is not None
    assert summary.with_failures["p50"].ms == successes[499]
    assert summary.with_failures["p95"].ms == successes[949]
    p99 = summary.with_failures["p99"]
    assert (p99.ms, p99.certified, p99.reason) == (None, True, "falls on a failed request")
    assert p99.high_ms is None


def test_without_failures_both_are_the_same() -> None:
    """The columns beside each other agree where there is nothing between them."""
    summary = summarize(shuffled(1000), failed=np.zeros(1000, dtype=np.bool_))
    assert summary.with_failures == summary.percentiles
    assert summarize(shuffled(1000)).with_failures is None


def test_nothing_but_failures_has_no_number() -> None:
    """All percentiles are infinite, which is no number."""
    summary = summarize(np.zeros(1000, dtype=np.int64), failed=np.ones(1000, dtype=np.bool_))
    assert (summary.n, summary.mean_ms, summary.n_effective) == (0, None, None)
    assert summary.with_failures is not None
    assert {found.ms for found in summary.with_failures.values()} == {None}


def test_what_is_not_steady_has_no_percentile() -> None:
    """Not even an interval; the mean and the ends are facts about this run."""
    summary = summarize(shuffled(1000), failed=np.zeros(1000, dtype=np.bool_), unsteady="overloaded: x")
    for found in (*summary.percentiles.values(), *(summary.with_failures or {}).values()):
        assert (found.ms, found.low_ms, found.high_ms, found.certified, found.reason) == (
            None, None, None, False, "overloaded: x",
        )  # fmt: skip
    assert summary.max_ms == 1000.0


def test_response_counts_from_the_due_time_and_service_from_the_send() -> None:
    """A request due at 10, sent at 250, answered at 255 and processed by 257 took 247 and 5 ms."""
    columns = columns_of(Sent(due=10, start=240, send=250, last=255, done=257))
    assert response_ns(columns).tolist() == [247 * MS]
    assert service_ns(columns).tolist() == [5 * MS]


def test_wire_latency_is_over_those_that_have_it() -> None:
    """The kernel's stamps may be missing for some requests; those do not count as zero."""
    columns = columns_of(Sent(due=0, wire=4.0), Sent(due=1), Sent(due=2, wire=0.0))
    assert wire_ns(columns).tolist() == [4 * MS, 0]
