"""Poisson arrivals as a law: over many seeds, at a stated false-alarm rate; and the evenness of constant ones.

Each test asks 40 seeds for a p-value under the true law and then asks whether those p-values are uniform. Plans with a
known flaw go through the same tests, to show that the tests can see it.
"""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats  # type: ignore[import-untyped]
from support.laws import ALARM, SEEDS, uniformity

from shared.jobs.workload import ConstantWorkload, PoissonWorkload
from shared.workload.arrivals import make_plan

RATE = 100.0
SECONDS = 40

Array = npt.NDArray[np.float64]


def poisson_due_s(seed: int) -> Array:
    """Due times in seconds of the plan under test."""
    spec = PoissonWorkload(pattern="poisson", rate=RATE, warmup="5s", duration="35s", seed=seed)  # type: ignore[arg-type]
    return make_plan(spec, payload_count=1).due_ns / 1e9


def per_second_due_s(seed: int) -> Array:
    """The flaw of a known tool: each second holds exactly the rate's count, at random places."""
    rng = np.random.default_rng(seed)
    return np.sort(np.concatenate([second + rng.random(int(RATE)) for second in range(SECONDS)]))


def jittered_grid_due_s(seed: int) -> Array:
    """Another: an even grid, shaken."""
    rng = np.random.default_rng(seed)
    n = int(RATE * SECONDS)
    return np.sort((np.arange(n) + rng.random(n)) / RATE)


def gap_p(due_s: Array) -> float:
    """Are the gaps exponential with the wanted mean?"""
    return float(stats.kstest(np.diff(due_s, prepend=0.0), stats.expon(scale=1 / RATE).cdf).pvalue)


def dispersion_p(due_s: Array) -> float:
    """Do counts per second have variance = mean, by the index of dispersion?"""
    counts = np.bincount(due_s.astype(int), minlength=SECONDS)
    statistic = float(((counts - counts.mean()) ** 2).sum() / counts.mean())
    return float(stats.chi2(SECONDS - 1).cdf(statistic))


def place_p(due_s: Array) -> float:
    """Is every place within a second as likely as any other?"""
    return float(stats.kstest(due_s % 1.0, "uniform").pvalue)


def independence_p(due_s: Array) -> float:
    """Does a gap tell nothing of the next one, by rank?"""
    gaps = np.diff(due_s)
    return float(stats.spearmanr(gaps[:-1], gaps[1:]).pvalue)


TESTS = [gap_p, dispersion_p, place_p, independence_p]


@pytest.mark.parametrize("test", TESTS, ids=lambda test: test.__name__)
def test_poisson_arrivals_obey_the_law(test: object) -> None:
    """Exponential gaps, Poisson counts, no favoured place in the second, no memory."""
    assert callable(test)
    assert uniformity([test(poisson_due_s(seed)) for seed in SEEDS]) > ALARM


def test_arrivals_of_different_seeds_are_independent_in_number() -> None:
    """Total counts over the seeds have mean and variance rate x time."""
    counts = np.array([len(poisson_due_s(seed)) for seed in SEEDS])
    expected = RATE * SECONDS
    mean_z = (counts.mean() - expected) / np.sqrt(expected / len(counts))
    assert abs(mean_z) < stats.norm.ppf(1 - ALARM / 2)
    spread = ((counts - expected) ** 2).sum() / expected
    assert stats.chi2(len(counts)).ppf(ALARM / 2) < spread < stats.chi2(len(counts)).ppf(1 - ALARM / 2)


def test_poisson_gaps_vary_as_much_as_they_are_long() -> None:
    """The coefficient of variation over the gaps of all seeds is 1, within its sampling error of 1 / sqrt(n)."""
    gaps = np.concatenate([np.diff(poisson_due_s(seed)) for seed in SEEDS])
    assert abs(gaps.std() / gaps.mean() - 1) < stats.norm.ppf(1 - ALARM / 2) / np.sqrt(len(gaps))


@pytest.mark.parametrize("flawed", [per_second_due_s, jittered_grid_due_s])
def test_the_law_tests_see_flawed_arrivals(flawed: object) -> None:
    """A generator that fills each second separately, or shakes a grid, raises the alarm."""
    assert callable(flawed)
    assert min(uniformity([test(flawed(seed)) for seed in SEEDS]) for test in TESTS) < ALARM


@given(rate=st.floats(0.5, 5000), seed=st.integers(0, 2**63 - 1))
def test_constant_gaps_never_differ_by_more_than_a_nanosecond(rate: float, seed: int) -> None:
    """Rounding is the only unevenness, and the count is rate x time."""
    spec = ConstantWorkload(pattern="constant", rate=rate, warmup="1s", duration="2s", seed=seed)  # type: ignore[arg-type]
    due = make_plan(spec, payload_count=1).due_ns
    assert abs(len(due) - rate * 3) <= 1
    if len(due) > 2:
        gaps = np.diff(due)
        assert gaps.max() - gaps.min() <= 1
