"""Tests of laws at a fixed false-alarm rate.

Under a true law the p-values of many seeds are uniform; ``uniformity`` asks whether they are. The seeds of the tests
are fixed, so one that passes stays passing, and ``ALARM`` is the chance that a true law fails at the first try.
"""

import numpy as np
import numpy.typing as npt
from scipy import stats  # type: ignore[import-untyped]

ALARM = 0.001
SEEDS = range(40)

Floats = npt.NDArray[np.float64]


def uniformity(p_values: list[float]) -> float:
    """Are these the p-values of a true law?"""
    return float(stats.kstest(p_values, "uniform").pvalue)


def unit_gap_p(positions: Floats) -> float:
    """Are these the arrivals of a Poisson process of rate 1?"""
    return float(stats.kstest(np.diff(positions, prepend=0.0), stats.expon.cdf).pvalue)


def place_p(positions: Floats, total: float) -> float:
    """Given their number, is every place on the cumulative rate as likely as any other?"""
    return float(stats.kstest(positions / total, "uniform").pvalue)


def parts_p(times: Floats, edges: Floats, expected: Floats) -> float:
    """Do the parts between ``edges``, shape (k + 1,), hold Poisson counts of the expected means, shape (k,)?"""
    counts, _ = np.histogram(times, bins=edges)
    return float(stats.chi2(len(expected)).sf(float(((counts - expected) ** 2 / expected).sum())))


def mean_p(values: Floats, expected: float) -> float:
    """Do independent values, one for each seed, have the expected mean?"""
    return float(stats.ttest_1samp(values, expected).pvalue)
