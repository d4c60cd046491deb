"""How many independent samples a sequence of latencies is worth.

Neighbouring requests meet the same queue, so their latencies resemble each other, and n of them tell less than n
independent ones would. For a first-order autoregression with correlation r of neighbours, the mean of n samples varies
as that of ``n (1 - r) / (1 + r)`` independent ones.

Source of the formula: G. V. Bayley and J. M. Hammersley, "The 'Effective' Number of Independent Observations in an
Autocorrelated Time Series", 1946.

The correlation is taken between the ranks of neighbours, not between their values, for two reasons. One latency of a
second among milliseconds would rule a correlation of values, and hide any likeness of the others. And what is judged
here are order statistics: a monotone change of scale carries percentiles over and leaves their precision as it is, so
the measure of likeness must not depend on the scale either. The rank correlation s is read as that of the normal law
with the same ranks, r = 2 sin(pi s / 6) (K. Pearson, 1907), which makes the formula exact for a normal autoregression
seen through any monotone scale.
"""

import math
from typing import Final

import numpy as np
import numpy.typing as npt

MOST_PAIRS: Final = 1 << 20
"""Neighbours compared at most; of longer sequences, in evenly spaced stretches. It is then known to 0.001."""

STRETCHES: Final = 64


def lag1(values: npt.NDArray[np.int64]) -> float | None:
    """Correlation of neighbours by rank, of values in the order of their due times; None where nothing varies."""
    ranks = _middle_ranks(_thinned(values))
    first, second = ranks[:, :-1], ranks[:, 1:]
    centre = ranks.mean() if ranks.size else 0.0
    spread = float(np.mean((ranks - centre) ** 2)) if first.size else 0.0
    if spread == 0:
        return None
    likeness = float(np.mean((first - centre) * (second - centre))) / spread
    return 2 * math.sin(math.pi * max(-1.0, min(1.0, likeness)) / 6)


def effective_n(n: int, correlation: float | None) -> float:
    """Independent samples worth as much as ``n`` with this correlation of neighbours; from 1 to n."""
    if correlation is None or correlation <= 0 or n < 1:
        return float(n)
    return max(1.0, n * (1 - correlation) / (1 + correlation))


def _thinned(values: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The values as one row; or, where they are many, as rows of stretches, shape (stretches, length)."""
    if len(values) <= MOST_PAIRS:
        return values.reshape(1, -1)
    length = MOST_PAIRS // STRETCHES
    starts = np.linspace(0, len(values) - length, STRETCHES).astype(np.int64)
    return np.asarray(values[starts[:, np.newaxis] + np.arange(length)])


def _middle_ranks(values: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Ranks of the values among all of them, same shape; equal values share the middle of theirs."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    middles = last - (counts - 1) / 2
    return np.asarray(middles[place.reshape(values.shape)])
