"""The log-linear histogram against the exact percentiles of the same durations."""

import numpy as np
import pytest

from shared.measure.histogram import TOP_NS, LatencyHistogram

QUANTILES = (0.001, 0.1, 0.5, 0.9, 0.99, 0.999, 1.0)


def of(durations: np.ndarray) -> LatencyHistogram:
    """Filled at once."""
    histogram = LatencyHistogram()
    histogram.add(durations)
    return histogram


def exact(durations: np.ndarray, q: float) -> int:
    """Nearest rank by sorting."""
    return int(np.sort(durations)[int(np.ceil(round(q * len(durations), 6))) - 1])


@pytest.mark.parametrize("seed", range(5))
def test_every_quantile_is_within_one_percent(seed: int) -> None:
    """Over nine decades, nanoseconds to minutes."""
    durations = (10 ** np.random.default_rng(seed).uniform(0, 11, 20_000)).astype(np.int64)
    histogram = of(durations)
    for q in QUANTILES:
        assert histogram.quantile_ns(q) == pytest.approx(exact(durations, q), rel=0.01)


def test_every_single_duration_is_within_half_a_percent() -> None:
    """Bucket edges included: around every power of two, and small numbers exactly."""
    edges = [base + offset for base in (2**k for k in range(8, 42)) for offset in (-1, 0, 1)]
    for duration in [*range(300), *edges]:
        found = of(np.array([duration])).quantile_ns(0.5)
        assert found == pytest.approx(duration, rel=0.004)
        assert duration >= 256 or found == duration


def test_merging_gives_exactly_the_histogram_of_the_union() -> None:
    """However the durations were spread, in whatever order they are merged."""
    durations = np.random.default_rng(3).lognormal(15, 2, 30_000).astype(np.int64)
    shards = [of(shard) for shard in np.array_split(np.random.default_rng(4).permutation(durations), 7)]
    merged = LatencyHistogram()
    for shard in reversed(shards):
        merged.merge(shard)
    whole = of(durations)
    assert merged.n == whole.n == 30_000
    assert [merged.quantile_ns(q) for q in QUANTILES] == [whole.quantile_ns(q) for q in QUANTILES]
    assert merged.overflow == whole.overflow == 0


def test_adding_in_pieces_is_adding_at_once() -> None:
    """As the live view does, ten times a second."""
    durations = np.random.default_rng(5).integers(1, 10**9, 5_000)
    piecewise = LatencyHistogram()
    for piece in np.array_split(durations, 50):
        piecewise.add(piece)
    assert [piecewise.quantile_ns(q) for q in QUANTILES] == [of(durations).quantile_ns(q) for q in QUANTILES]


def test_what_is_too_long_is_counted_and_flagged_never_clamped() -> None:
    """A quantile that falls on it is not known; those below are."""
    histogram = of(np.array([10, 20, TOP_NS, TOP_NS * 100, TOP_NS - 1]))
    assert (histogram.n, histogram.overflow) == (5, 2)
    assert histogram.quantile_ns(0.4) == 20
    assert histogram.quantile_ns(0.6) == pytest.approx(TOP_NS, rel=0.004)
    assert histogram.quantile_ns(0.8) is None
    other = of(np.array([TOP_NS]))
    histogram.merge(other)
    assert histogram.overflow == 3


def test_nothing_counted_has_no_quantile() -> None:
    """None, never zero."""
    empty = of(np.zeros(0, dtype=np.int64))
    assert (empty.n, empty.quantile_ns(0.5)) == (0, None)


def test_a_negative_duration_is_refused() -> None:
    """It would fall into a wrong bucket in silence."""
    with pytest.raises(ValueError, match="negative"):
        of(np.array([5, -1]))
