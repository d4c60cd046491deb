"""When is a sample large enough for a percentile: MLPerf LoadGen's early stopping, and order-statistic intervals.

Both are free of any assumption on the distribution, and both assume independent samples: give them the effective
sample size (``shared.measure.independence``).

Source: MLCommons inference, LoadGen ``early_stopping.cc`` and its write-up, with the same constants.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from shared.measure.binomial import at_most, probability, quantile

CONFIDENCE: Final = 0.99
"""Of early stopping; the tolerance is 0. LoadGen's constants."""

LEAST_OVERS: Final = 1
"""Samples beyond a percentile from which LoadGen gives an estimate of it."""

INTERVAL: Final = 0.95
"""Coverage of the interval of each percentile."""

_NEWTON_STEPS: Final = 2
_NORMAL_99: Final = 2.3263478740408408  # only a first guess of the search rests on it


def passes(q: float, n: int, overs: int) -> bool:
    """Is the ``q``-quantile below a bound that ``overs`` of ``n`` samples exceed? With ``CONFIDENCE``."""
    return at_most(overs, n, 1 - q) <= 1 - CONFIDENCE


@lru_cache(maxsize=4096)
def samples_needed(q: float, overs: int = LEAST_OVERS) -> int:
    """The least number of samples at which ``passes`` with so many ``overs``: p99 needs 662 with one.

    By Newton's method on the logarithm of the bound, which one more sample lowers by (1 - q) P(X = overs), and then by
    trying the neighbours.
    """
    guess = _chi_square_guess(2 * (overs + 1)) / 2 / (1 - q)
    for _ in range(_NEWTON_STEPS):
        n = max(round(guess), overs + 1)
        chance = at_most(overs, n, 1 - q)
        guess = n + math.log(chance / (1 - CONFIDENCE)) * chance / ((1 - q) * probability(overs, n, 1 - q))
    return _first(lambda n: passes(q, n, overs), max(round(guess), overs + 1), least=overs + 1)


@dataclass(frozen=True)
class Ranks:
    """An interval by 1-based ranks of the sorted samples; None leaves that side open."""

    low: int | None
    high: int | None


def interval_ranks(q: float, n: int, n_effective: float) -> Ranks:
    """Ranks of the samples that enclose the ``q``-quantile with at least ``INTERVAL``, each side missing equally.

    With n independent samples the number below the quantile is binomial. Of ``n_effective`` only, the ranks are found
    among so many, and stretched to n: rank r of m stands where rank r (n + 1) / (m + 1) of n does.
    """
    m = min(n, math.floor(n_effective))
    if m < 1:
        return Ranks(None, None)
    tail = (1 - INTERVAL) / 2
    low, high = quantile(tail, m, q), quantile(1 - tail, m, q) + 1
    return Ranks(
        low=max(1, low * (n + 1) // (m + 1)) if low >= 1 else None,
        high=min(n, -(-high * (n + 1) // (m + 1))) if high <= m else None,
    )


def _chi_square_guess(freedom: int) -> float:
    """The 99 % quantile of chi-square by Wilson and Hilferty; the Poisson limit of early stopping."""
    spread = 2 / (9 * freedom)
    return freedom * (1 - spread + _NORMAL_99 * math.sqrt(spread)) ** 3


def _first(holds: Callable[[int], bool], guess: int, *, least: int) -> int:
    """The smallest number from ``least`` on that ``holds``, for a condition that stays once it holds."""
    high, step = guess, 1
    while not holds(high):
        high, step = high + step, 2 * step
    low, step = high - 1, 1
    while low >= least and holds(low):
        high, low, step = low, low - step, 2 * step
    low = max(low, least - 1)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high
