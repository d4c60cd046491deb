"""Is a row of span means level? Its thirds and its slope, judged against noise that has a memory.

Neighbouring spans resemble each other when a queue's busy periods outlast a span. The variance of a mean or a slope is
therefore taken for a first-order autoregression: that of independent spans, times (1 + r) / (1 - r), with as many
degrees of freedom as the spans are worth (``shared.measure.independence`` has the same formula and its source). The
correlation r is that of the residuals, corrected for its bias in a short row: -(1 + 3 r) / n with the mean fitted
(F. H. C. Marriott and J. A. Pope, "Bias in the Estimation of Autocorrelations", 1954), as much again for each further
fitted parameter.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from shared.measure.batches import Spans
from shared.measure.student import f_p_value_of_three, t_p_value

PARTS: Final = 3
_LEAST_WORTH: Final = 2  # spans beyond the fitted parameters, below which nothing can be said
_MOST_CORRELATION: Final = 0.99


@dataclass(frozen=True)
class Trend:
    """How far a row of values is from level."""

    part_means: tuple[float, ...]  # of its three equal parts, in order
    parts_p: float  # chance of parts as different, if the row is level
    change: float  # along the least-squares line, from end to end
    slope_p: float  # chance of a slope as steep, if the row is level


def trend_of(values: Spans) -> Trend:
    """Thirds and slope of the values, shape (3 m,)."""
    grouped = values.reshape(PARTS, -1)
    middles = np.arange(len(values), dtype=np.float64) - (len(values) - 1) / 2
    slope = float(middles @ values / (middles @ middles))
    return Trend(
        part_means=tuple(map(float, grouped.mean(axis=1))),
        parts_p=_parts_p(grouped),
        change=slope * len(values),
        slope_p=_slope_p(values, middles, slope),
    )


def shift_p(first: Spans, rest: Spans) -> float:
    """Chance that the mean of ``first`` lies as far from that of ``rest``, if all are alike and ``rest`` is level."""
    residuals = rest - rest.mean()
    noise = _noise(residuals, parameters=1)
    if noise is None:
        return 1.0
    variance, freedom = noise
    distance = float(first.mean() - rest.mean())
    return _two_sided(distance, variance * (1 / len(first) + 1 / len(rest)), freedom)


def _parts_p(grouped: Spans) -> float:
    means = grouped.mean(axis=1)
    noise = _noise((grouped - means[:, np.newaxis]).ravel(), parameters=PARTS)
    if noise is None:
        return 1.0
    variance, freedom = noise
    between = grouped.shape[1] * float(means.var()) * PARTS / (PARTS - 1)
    if variance == 0:
        return 1.0 if between == 0 else 0.0
    return f_p_value_of_three(between / variance, freedom)


def _slope_p(values: Spans, middles: Spans, slope: float) -> float:
    noise = _noise(values - values.mean() - slope * middles, parameters=2)
    if noise is None:
        return 1.0
    variance, freedom = noise
    return _two_sided(slope, variance / float(middles @ middles), freedom)


def _noise(residuals: Spans, *, parameters: int) -> tuple[float, float] | None:
    """Long-run variance of one value, and its degrees of freedom; None where the row is worth too little."""
    n, total = len(residuals), float(residuals @ residuals)
    found = float(residuals[1:] @ residuals[:-1]) / total if total > 0 else 0.0
    correlation = min(max(found + parameters * (1 + 3 * found) / n, 0.0), _MOST_CORRELATION) if total > 0 else 0.0
    inflation = (1 + correlation) / (1 - correlation)
    freedom = n / inflation - parameters
    if freedom < _LEAST_WORTH:
        return None
    return total / (n - parameters) * inflation, freedom


def _two_sided(distance: float, variance: float, freedom: float) -> float:
    if variance <= 0:
        return 1.0 if distance == 0 else 0.0
    return t_p_value(distance / variance**0.5, freedom)
