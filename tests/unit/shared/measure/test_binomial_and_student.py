"""The laws behind intervals and significance, against scipy."""

import numpy as np
import pytest
from scipy import special, stats  # type: ignore[import-untyped]

from shared.measure.binomial import at_most, probability, quantile
from shared.measure.student import f_p_value_of_three, incomplete_beta, t_p_value


def drawn(seed: int, count: int) -> list[tuple[int, float]]:
    """Trials from one to fifty million, chances from both ends of (0, 1)."""
    draw = np.random.default_rng(seed)
    trials = (10 ** draw.uniform(0, 7.7, count)).astype(int)
    chances = np.where(draw.random(count) < 0.5, draw.uniform(1e-4, 1 - 1e-4, count), 10 ** draw.uniform(-5, -1, count))
    chances = np.where(draw.random(count) < 0.3, 1 - chances, chances)
    return [(int(n), float(p)) for n, p in zip(trials, chances, strict=True)]


def test_the_distribution_agrees_with_scipy_in_the_body_and_in_the_tails() -> None:
    """To nine digits for a thousand drawn cases."""
    draw = np.random.default_rng(7)
    for n, p in drawn(1, 1000):
        k = int(np.clip(stats.binom.ppf(draw.uniform(1e-4, 1 - 1e-4), n, p) + draw.integers(-2, 3), -1, n))
        assert at_most(k, n, p) == pytest.approx(stats.binom.cdf(k, n, p), rel=1e-9, abs=1e-13)


def test_quantiles_are_the_same_whole_numbers() -> None:
    """Exactly, for a thousand drawn cases and levels."""
    draw = np.random.default_rng(8)
    for n, p in drawn(2, 1000):
        level = float(draw.uniform(1e-3, 1 - 1e-3))
        assert quantile(level, n, p) == int(stats.binom.ppf(level, n, p))


def test_small_cases_by_counting() -> None:
    """Three throws of a fair coin."""
    assert [probability(k, 3, 0.5) for k in range(-1, 5)] == pytest.approx([0, 1 / 8, 3 / 8, 3 / 8, 1 / 8, 0])
    assert [at_most(k, 3, 0.5) for k in range(-1, 5)] == pytest.approx([0, 1 / 8, 4 / 8, 7 / 8, 1, 1])
    assert (quantile(0.49, 3, 0.5), quantile(0.51, 3, 0.5)) == (1, 2)


@pytest.mark.parametrize("n", [1, 2, 5, 17, 100, 3000])
def test_probabilities_sum_to_one(n: int) -> None:
    """Over all outcomes."""
    assert sum(probability(k, n, 0.3) for k in range(n + 1)) == pytest.approx(1, rel=1e-12)


def test_incomplete_beta_agrees_with_scipy() -> None:
    """Over six decades of both parameters."""
    draw = np.random.default_rng(3)
    for _ in range(1000):
        a, b, x = 10 ** draw.uniform(-1, 3), 10 ** draw.uniform(-1, 3), draw.uniform(0, 1)
        assert incomplete_beta(a, b, x) == pytest.approx(special.betainc(a, b, x), rel=1e-9, abs=1e-14)
    assert (incomplete_beta(2, 3, 0.0), incomplete_beta(2, 3, 1.0)) == (0.0, 1.0)


@pytest.mark.parametrize("freedom", [1.0, 2.5, 10.0, 300.0])
def test_p_values_agree_with_scipy(freedom: float) -> None:
    """Student's t on both sides, and F over three groups, for freedoms that need not be whole."""
    for value in (0.0, 0.3, 1.0, 2.5, 7.0, 40.0):
        assert t_p_value(value, freedom) == pytest.approx(2 * stats.t.sf(value, freedom), rel=1e-9)
        assert t_p_value(-value, freedom) == t_p_value(value, freedom)
        assert f_p_value_of_three(value, freedom) == pytest.approx(stats.f.sf(value, 2, freedom), rel=1e-9)
