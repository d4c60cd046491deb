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

A queue remembers for longer than such an autoregression: behind one, the correlation of neighbours alone makes the
interval of a p99 half as wide as it should be. So a percentile is never given more weight than the samples that lie
beyond it show: whether one does is a yes or no, and the share of yes in equal parts of the run varies by p (1 - p) / m
where the m requests of a part are independent, and more where a slow request comes in the company of others (batch
means; A. M. Law, Simulation Modeling and Analysis, 9.5.3).
"""

import math
from typing import Final

import numpy as np
import numpy.typing as npt

MOST_PAIRS: Final = 1 << 20
"""Neighbours compared at most; of longer sequences, in evenly spaced stretches. It is then known to 0.001."""

STRETCHES: Final = 64

BATCHES: Final = 30
"""Equal parts of a run. Each must outlast the server's delays, and the parts must be enough for a variance: 10 to 30
serve both (B. Schmeiser, "Batch Size Effects in the Analysis of Simulation Output", 1982)."""


class Worth:
    """How many independent samples these values are worth, in the order of their due times, shape (n,)."""

    def __init__(self, values: npt.NDArray[np.int64]) -> None:
        self._values = values
        self.overall = effective_n(len(values), lag1(values))

    def at(self, bound: int) -> float:
        """For what is said of the share of values above ``bound``; at most ``overall``."""
        return min(self.overall, effective_n_beyond(self._values, bound))


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


def effective_n_beyond(values: npt.NDArray[np.int64], bound: int) -> float:
    """Independent samples worth as much, for the share of values above ``bound``; from 1 to n.

    A run of fewer than two values a part is taken as it is.
    """
    n, length = len(values), len(values) // BATCHES
    if length <= 1:
        return float(n)
    shares = (values[: BATCHES * length].reshape(BATCHES, length) > bound).mean(axis=1)
    variance, share = float(shares.var(ddof=1)) / BATCHES, float(shares.mean())
    return float(n) if variance == 0 else min(float(n), max(1.0, share * (1 - share) / variance))


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
