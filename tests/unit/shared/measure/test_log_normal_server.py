"""A server of known latency law, in virtual time: percentiles where they are, with intervals that cover them."""

import math

import numpy as np
import pytest
from scipy import stats  # type: ignore[import-untyped]

from shared.measure.latency import summarize
from shared.measure.record import PERCENTILES

SIGMA = 0.5
MEDIAN_MS = 5.0
SEEDS = 500
"""Enough that a coverage of 95 % is known to one percentage point."""

N = 20_000


def truth_ms(q: float) -> float:
    """The law's own quantile."""
    return float(stats.lognorm.ppf(q, SIGMA, scale=MEDIAN_MS))


def latencies(seed: int, n: int = N) -> np.ndarray:
    """Drawn from the law, in ns."""
    draw = np.random.default_rng(seed)
    return np.rint(draw.lognormal(math.log(MEDIAN_MS * 1e6), SIGMA, n)).astype(np.int64)


@pytest.mark.parametrize("seed", range(10))
def test_every_percentile_is_within_one_percent_or_its_interval(seed: int) -> None:
    """Of 200,000 requests, one seed after another: the truth is within 1 % of the percentile or inside its interval."""
    summary = summarize(latencies(seed, 200_000))
    for name, q in PERCENTILES.items():
        found = summary.percentiles[name]
        assert found.ms is not None
        assert found.low_ms is not None
        assert found.high_ms is not None
        inside = found.low_ms <= truth_ms(q) <= found.high_ms
        assert inside or found.ms == pytest.approx(truth_ms(q), rel=0.01)


def test_intervals_cover_the_truth_in_95_of_100() -> None:
    """Between 93 % and 97.5 % for every certified percentile: not too short, and not padded."""
    covered = dict.fromkeys(PERCENTILES, 0)
    for seed in range(SEEDS):
        for name, found in summarize(latencies(seed)).percentiles.items():
            assert found.low_ms is not None
            assert found.high_ms is not None
            covered[name] += found.low_ms <= truth_ms(PERCENTILES[name]) <= found.high_ms
    for name, count in covered.items():
        assert 0.93 <= count / SEEDS <= 0.975, (name, count / SEEDS)


def test_intervals_cover_the_truth_where_neighbours_are_alike() -> None:
    """The same law with a memory of 0.6 from request to request: on raw n every fourth median would be missed."""
    covered, naive = 0, 0
    for seed in range(300):
        draw = np.random.default_rng(seed)
        noise = draw.normal(size=4000) * 0.8
        steps = np.empty(4000)
        steps[0] = draw.normal()
        for i in range(1, 4000):
            steps[i] = 0.6 * steps[i - 1] + noise[i]
        values = np.rint(MEDIAN_MS * 1e6 * np.exp(SIGMA * steps)).astype(np.int64)
        found = summarize(values).percentiles["p50"]
        shuffled = summarize(draw.permutation(values)).percentiles["p50"]
        assert found.low_ms is not None
        assert found.high_ms is not None
        assert shuffled.low_ms is not None
        assert shuffled.high_ms is not None
        covered += found.low_ms <= MEDIAN_MS <= found.high_ms
        naive += shuffled.low_ms <= MEDIAN_MS <= shuffled.high_ms
    assert covered / 300 >= 0.92
    assert naive / 300 < 0.8
