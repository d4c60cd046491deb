"""How far one run's percentile, or its throughput, may lie from what longer runs would tell. Pure.

Everything is on a log scale, because comparisons are relative: a deviation of 0.01 is one per cent.

A percentile's deviation is found in two steps.

1. How many independent requests is the run worth at this percentile? See ``shared.measure.independence``.
2. Woodruff's interval: the samples at the ranks q -/+ z sqrt(q (1 - q) / n_effective) enclose the percentile as z
   standard deviations do (R. S. Woodruff, "Confidence Intervals for Medians and Other Position Measures", 1952).
"""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from shared.measure.independence import Worth
from shared.measure.latency import FOR_EVER_NS, rank

Durations = npt.NDArray[np.int64]

WIDTH: Final = 1.96
"""Standard deviations on either side in Woodruff's interval; those of 95 %, his own choice."""


@dataclass(frozen=True)
class Estimate:
    """One number of one run. ``log_deviation``: its standard deviation on a log scale; None where it cannot be told."""

    value: float | None
    log_deviation: float | None
    n: int
    n_effective: float

    @property
    def unit_deviation(self) -> float | None:
        """What the deviation would be with one request of this kind: it falls with the root of their number."""
        return None if self.log_deviation is None else self.log_deviation * math.sqrt(self.n)


def percentile_estimate(durations_ns: Durations, q: float) -> Estimate:
    """The nearest-rank percentile in ns, of durations in the order of their due times, shape (n,).

    A failure is a duration of ``FOR_EVER_NS``; a percentile that falls on one has no value.
    """
    n = len(durations_ns)
    if n == 0:
        return Estimate(None, None, 0, 0.0)
    ascending = np.sort(durations_ns)
    at = int(ascending[rank(n, q) - 1])
    worth = Worth(durations_ns).at(at)
    value = None if at == FOR_EVER_NS else float(at)
    return Estimate(value, _woodruff(ascending, q, worth), n, worth)


def rate_estimate(counts: npt.NDArray[np.int64], part_s: float) -> Estimate:
    """The mean rate per second from completions in equal parts of the window, shape (parts,), ``part_s`` each."""
    n = int(counts.sum())
    if n == 0 or len(counts) <= 1:
        return Estimate(n / (part_s * len(counts)) if len(counts) else None, None, n, float(n))
    relative = float(counts.std(ddof=1) / counts.mean()) / math.sqrt(len(counts))
    worth = float(n) if relative == 0 else min(float(n), 1 / relative**2)
    return Estimate(n / (part_s * len(counts)), relative, n, worth)


def least_effective_n(q: float) -> int:
    """Fewer independent requests than this have no sample at the interval's upper rank."""
    return math.ceil(WIDTH**2 * q / (1 - q)) + 1


def _woodruff(ascending_ns: Durations, q: float, n_effective: float) -> float | None:
    """The deviation of the log percentile; None where an end of the interval lies outside of the sample."""
    n = len(ascending_ns)
    reach = WIDTH * math.sqrt(q * (1 - q) / n_effective)
    low, high = math.floor(n * (q - reach)), math.ceil(n * (q + reach))
    if low < 1 or high > n or ascending_ns[high - 1] == FOR_EVER_NS:
        return None
    first, last = max(1, int(ascending_ns[low - 1])), max(1, int(ascending_ns[high - 1]))
    return math.log(last / first) / (2 * WIDTH)
