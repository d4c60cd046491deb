"""Early stopping against LoadGen's table, and order-statistic intervals against what they promise."""

from fractions import Fraction
from math import comb

import numpy as np
import pytest
from scipy import stats  # type: ignore[import-untyped]

from shared.measure.certification import Ranks, interval_ranks, passes, samples_needed

LOADGEN = {
    0.5: (7, 11, 14),
    0.9: (44, 64, 81),
    0.95: (90, 130, 165),
    0.97: (152, 219, 277),
    0.99: (459, 662, 838),
    0.999: (4_603, 6_636, 8_403),
    0.9999: (46_050, 66_381, 84_057),
}
"""Samples needed with 0, 1 and 2 overs, as MLPerf LoadGen has them."""


@pytest.mark.parametrize(("q", "floors"), LOADGEN.items())
def test_floors_are_those_of_loadgen(q: float, floors: tuple[int, ...]) -> None:
    """With none, one and two samples beyond the percentile."""
    assert tuple(samples_needed(q, overs) for overs in range(3)) == floors


@pytest.mark.parametrize("q", LOADGEN)
def test_it_equals_the_binomial_bound_up_to_five_thousand_overs(q: float) -> None:
    """Every number of overs: the least sample whose bound holds, one fewer does not; scipy's law, not ours."""
    overs = np.arange(5001)
    needed = np.array([samples_needed(q, int(count)) for count in overs])
    holds = stats.binom.cdf(overs, needed, 1 - q)
    just_fails = np.where(needed - 1 > overs, stats.binom.cdf(overs, needed - 1, 1 - q), 1.0)
    assert (holds <= 0.01).all()
    assert (just_fails > 0.01).all()


def test_the_bound_itself_in_exact_arithmetic() -> None:
    """662 samples of which one is over: the chance of so few at a true p99 above the limit is below 1 %; of 661 not."""

    def chance(n: int) -> Fraction:
        over = Fraction(1, 100)
        return sum((comb(n, k) * over**k * (1 - over) ** (n - k) for k in (0, 1)), Fraction())

    assert chance(662) <= Fraction(1, 100) < chance(661)
    assert passes(0.99, 662, 1)
    assert not passes(0.99, 661, 1)


def test_nothing_is_certified_by_nothing() -> None:
    """No sample, or nothing but overs."""
    assert not passes(0.5, 0, 0)
    assert not passes(0.5, 1000, 1000)


@pytest.mark.parametrize(
    ("q", "n", "expected"),
    [
        (0.5, 1000, Ranks(469, 532)),
        (0.9, 6000, Ranks(5354, 5446)),
        (0.99, 10_000, Ranks(9880, 9920)),
        (0.999, 100_000, Ranks(99_880, 99_920)),
        (0.999, 1000, Ranks(997, None)),
        (0.5, 5, Ranks(None, None)),
    ],
)
def test_ranks_of_known_cases(q: float, n: int, expected: Ranks) -> None:
    """The widths of published tables; open above where too few samples lie beyond."""
    assert interval_ranks(q, n, n) == expected


@pytest.mark.parametrize("q", [0.5, 0.9, 0.99])
def test_intervals_cover_at_least_what_they_promise(q: float) -> None:
    """By the binomial law of the number of samples below the quantile, for many sample sizes."""
    for n in (50, 333, 1000, 4000, 20_000):
        ranks = interval_ranks(q, n, n)
        low = stats.binom.cdf(ranks.low - 1, n, q) if ranks.low else 0.0
        high = stats.binom.cdf(ranks.high - 1, n, q) if ranks.high else 1.0
        assert high - low >= 0.95
        assert low <= 0.025
        assert high >= 0.975


def test_fewer_independent_samples_widen_the_interval() -> None:
    """A quarter of the worth doubles the width, and no worth leaves it open."""
    full, quarter = interval_ranks(0.5, 40_000, 40_000), interval_ranks(0.5, 40_000, 10_000)
    assert full.low
    assert full.high
    assert quarter.low
    assert quarter.high
    assert (quarter.high - quarter.low) / (full.high - full.low) == pytest.approx(2, rel=0.02)
    assert interval_ranks(0.5, 40_000, 0.5) == Ranks(None, None)
    assert interval_ranks(0.99, 40_000, 100).high is None


def test_ten_million_samples_are_ranked_at_once() -> None:
    """The ranks lie where the normal approximation puts them, which is exact to a few ranks there."""
    ranks = interval_ranks(0.99, 10_000_000, 10_000_000)
    half = 1.959964 * np.sqrt(10_000_000 * 0.99 * 0.01)
    assert ranks.low == pytest.approx(9_900_000 - half, abs=3)
    assert ranks.high == pytest.approx(9_900_000 + half, abs=3)
