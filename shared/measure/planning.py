"""How many requests, or runs, a comparison needs to find a difference of a given size. Pure.

Both sides get the same number n. The log of a percentile's ratio then varies with twice ``unit_deviation``² / n, and a
true difference d is found with chance ``power`` where |log(1 + d)| is at least the sum of the two t-quantiles, times
that deviation: the usual formula for two means (J. Cohen, Statistical Power Analysis, 2.4), on a log scale.
"""

import math
from bisect import bisect_left
from statistics import NormalDist
from typing import Final

from shared.measure.independence import BATCHES
from shared.measure.t_quantile import student_quantile

ALPHA: Final = 0.005
"""Chance of calling one of two equal systems faster: half of the one in 100 that is promised, because a deviation that
is itself estimated from 30 parts of a run makes the real chance larger than the nominal one."""

POWER: Final = 0.99
"""Chance of finding the difference that was planned for; then 95 of 100 comparisons find it all but surely."""

MOST_RUNS: Final = 1_000

_FREEDOM: Final = 2 * (BATCHES - 1)  # of one run a side


def requests_needed(unit_deviation: float, difference: float, *, alpha: float = ALPHA, power: float = POWER) -> int:
    """Requests for each of two sides, one run each.

    Args:
        unit_deviation: of the log percentile, with one request (``Estimate.unit_deviation``).
        difference: relative; 0.05 is 5 %.
        alpha: chance of a false alarm, both directions together.
        power: chance of finding the difference.

    Raises:
        ValueError: no difference is looked for.
    """
    return math.ceil(2 * (unit_deviation * _reach(alpha, power, _FREEDOM) / _log_of(difference)) ** 2)


def runs_needed(run_deviation: float, difference: float, *, alpha: float = ALPHA, power: float = POWER) -> int | None:
    """Runs for each of two sides, where the log percentile of single runs varies by ``run_deviation``.

    None where more than ``MOST_RUNS`` would be needed.

    Raises:
        ValueError: no difference is looked for.
    """
    target = _log_of(difference)

    def finds(runs: int) -> bool:
        return run_deviation * math.sqrt(2 / runs) * _reach(alpha, power, 2 * runs - 2) <= target

    if not finds(MOST_RUNS):
        return None
    return 2 + bisect_left(range(2, MOST_RUNS + 1), True, key=finds)


def lognormal_deviation(sigma: float, q: float) -> float:
    """The unit deviation of independent log-normal latencies whose logarithm has the deviation ``sigma``.

    A quantile's variance is q (1 - q) / (n f²) with f the density there (H. Cramér, Mathematical Methods of
    Statistics, 28.5); of a normal logarithm, f is the standard normal density at the quantile over sigma.
    """
    normal = NormalDist()
    return sigma * math.sqrt(q * (1 - q)) / normal.pdf(normal.inv_cdf(q))


def _log_of(difference: float) -> float:
    if difference <= 0:
        raise ValueError(f"no difference can be planned for: {difference}")
    return math.log1p(difference)


def _reach(alpha: float, power: float, freedom: int) -> float:
    return student_quantile(1 - alpha / 2, freedom) + student_quantile(power, freedom)
