"""The laws of independent gaps, as laws: constant and gamma. Poisson's are in test_arrivals.py.

Truth is scipy's gamma distribution and the renewal theory of a stationary start; plans with a known flaw go through
the same tests, to show that the tests can see it.
"""

import numpy as np
import numpy.typing as npt
import pytest
from scipy import stats  # type: ignore[import-untyped]
from support.laws import ALARM, SEEDS, Floats, mean_p, uniformity
from support.workloads import workload

from shared.workload.arrivals import make_plan

RATE = 100.0
MEAN_GAP_NS = 1e9 / RATE
SHORT_NS = 1_000  # below it the rounding to nanoseconds shows


def gamma_due_ns(seed: int, cv: float, *, seconds: int = 40) -> npt.NDArray[np.int64]:
    """Due times of the plan under test."""
    spec = workload(pattern="gamma", rate=RATE, cv=cv, warmup="0s", duration=f"{seconds}s", seed=seed)
    return make_plan(spec, 1).due_ns


def law(cv: float) -> stats.rv_continuous:
    """What the gaps have to be, in ns."""
    return stats.gamma(1 / cv**2, scale=MEAN_GAP_NS * cv**2)


def gap_p(gaps_ns: Floats, cv: float) -> float:
    """Are the gaps of 1 us and more such gaps of the law?"""
    below = law(cv).cdf(SHORT_NS - 0.5)
    longer = gaps_ns[gaps_ns >= SHORT_NS]
    return float(stats.kstest(longer, lambda x: (law(cv).cdf(x) - below) / (1 - below)).pvalue)


def pooled_gaps_ns(cv: float) -> Floats:
    """Gaps of all seeds, shape (n,)."""
    return np.concatenate([np.diff(gamma_due_ns(seed, cv)) for seed in SEEDS]).astype(np.float64)


@pytest.mark.parametrize("cv", [0.05, 0.3, 1.0, 2.0, 6.0, 20.0])
def test_gamma_gaps_obey_the_law(cv: float) -> None:
    """Their distribution is scipy's gamma of shape 1 / cv^2 and mean 1 / rate, from very even to very bursty."""
    assert uniformity([gap_p(np.diff(gamma_due_ns(seed, cv)).astype(float), cv) for seed in SEEDS]) > ALARM


@pytest.mark.parametrize("cv", [2.0, 6.0, 20.0])
def test_as_many_gamma_gaps_are_short_as_should_be(cv: float) -> None:
    """The gaps that rounding hides from the test of their distribution are there in the right number."""
    gaps_ns = pooled_gaps_ns(cv)
    short = int((gaps_ns < SHORT_NS).sum())
    assert stats.binomtest(short, len(gaps_ns), law(cv).cdf(SHORT_NS - 0.5)).pvalue > ALARM


@pytest.mark.parametrize("cv", [0.05, 0.3, 1.0, 2.0])
def test_gamma_gaps_have_the_coefficient_of_variation(cv: float) -> None:
    """Mean and variance over all seeds are within their sampling error, that of the variance from the kurtosis."""
    gaps_ns = pooled_gaps_ns(cv)
    n, deviation = len(gaps_ns), MEAN_GAP_NS * cv
    mean_z = (gaps_ns.mean() - MEAN_GAP_NS) / (deviation / np.sqrt(n))
    spread_z = (gaps_ns.var() / deviation**2 - 1) / np.sqrt((2 + 6 * cv**2) / n)
    assert max(abs(mean_z), abs(spread_z)) < stats.norm.ppf(1 - ALARM / 4)


@pytest.mark.parametrize("cv", [0.3, 2.0])
def test_a_gamma_gap_tells_nothing_of_the_next(cv: float) -> None:
    """Gaps are independent, by rank."""
    gaps = [np.diff(gamma_due_ns(seed, cv)) for seed in SEEDS]
    assert uniformity([float(stats.spearmanr(one[:-1], one[1:]).pvalue) for one in gaps]) > ALARM


@pytest.mark.parametrize("cv", [0.05, 0.3, 2.0, 6.0])
def test_the_first_gamma_arrival_is_that_of_a_process_long_under_way(cv: float) -> None:
    """Its time has the density (1 - F) x rate, integrated in closed form; 400 seeds."""
    shape = 1 / cv**2

    def reached(x: Floats) -> Floats:
        longer = stats.gamma(shape + 1, scale=MEAN_GAP_NS * cv**2)
        return np.asarray(x / MEAN_GAP_NS * law(cv).sf(x) + longer.cdf(x))

    first = [gamma_due_ns(seed, cv, seconds=20)[0] for seed in range(400)]
    assert stats.kstest(first, reached).pvalue > ALARM


def test_a_bursty_gamma_plan_has_its_mean_rate_from_the_start() -> None:
    """The first 100 ms of 2,000 seeds hold 10 requests on average: neither a burst nor a gap is favoured."""
    counts = np.array([(gamma_due_ns(seed, 3.0, seconds=1) < 1e8).sum() for seed in range(2000)], dtype=float)
    assert mean_p(counts, RATE / 10) > ALARM


def test_the_gamma_tests_see_flawed_gaps() -> None:
    """Exponential gaps, Weibull gaps of the same CV, a shape mistaken for a CV, and a start at an arrival."""
    rngs = [np.random.default_rng(seed) for seed in SEEDS]
    exponential = [gap_p(rng.exponential(MEAN_GAP_NS, 4000), 2.0) for rng in rngs]
    weibull = [gap_p(rng.weibull(0.5427, 4000) * MEAN_GAP_NS / 1.7386, 2.0) for rng in rngs]
    mistaken = [gap_p(rng.gamma(0.5, MEAN_GAP_NS / 0.5, 4000), 2.0) for rng in rngs]
    for flawed in (exponential, weibull, mistaken):
        assert uniformity(flawed) < ALARM
    starting = [np.cumsum(rng.gamma(1 / 9, MEAN_GAP_NS * 9, 2000)) for rng in map(np.random.default_rng, range(2000))]
    assert mean_p(np.array([(one < 1e8).sum() for one in starting], dtype=float), RATE / 10) < ALARM


@pytest.mark.parametrize("rate", [0.7, 3.0, 999.9, 12_345.6])
def test_constant_gaps_hardly_vary(rate: float) -> None:
    """The coefficient of variation of the gaps is below 0.01, whatever the rate and the seed."""
    for seed in range(20):
        gaps = np.diff(make_plan(workload(pattern="constant", rate=rate, duration="20s", seed=seed), 1).due_ns)
        assert gaps.std() / gaps.mean() < 0.01


def test_the_constant_test_sees_flawed_gaps() -> None:
    """A timer that ticks every millisecond is seen at 990 requests a second."""
    gaps = np.diff(np.rint(np.arange(20_000) * 1000 / 990))
    assert gaps.std() / gaps.mean() > 0.01
