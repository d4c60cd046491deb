"""Did the measured window stay level? Three equal parts, and slopes, of latency, completed rate and requests in flight.

A difference counts where it is larger than 10 % and larger than chance explains: three parts of 47 Poisson arrivals
differ by more than 10 % almost always. Latencies are compared by their geometric means, as ``shared.measure.warmup``
does. The completed rate of an open loop is held against what was due in the same span, so that the plan's own
randomness is no drift.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from shared.measure.batches import Spans, counts, mean_open, means
from shared.measure.columns import Columns
from shared.measure.latency import response_ns
from shared.measure.trend import Trend, trend_of
from shared.measure.windows import Window, due_in, succeeded

LEAST_DRIFT: Final = 0.1
"""Relative difference that matters: NVIDIA's perf_analyzer calls three windows stable within 10 %."""

PARTS_SIGNIFICANCE: Final = 0.0001
SLOPE_SIGNIFICANCE: Final = 0.0005
"""Chance of a false alarm of each test, were the noise known. It is estimated, and queues remember for long; with two
or three tests on parts and on slopes each, one level run in fifty is called drifting (simulated M/M/1, M/D/1 and
log-normal M/G/1 queues at 0.3 to 0.8 of capacity taken together, from 500 requests on). The thresholds were chosen on
such simulations."""

MOST_SPANS: Final = 30
LEAST_SPANS: Final = 9
LEAST_PER_SPAN: Final = 5


@dataclass(frozen=True)
class Stationarity:
    """What was compared; None where there are too few requests, or nothing that could vary."""

    latency: Trend | None = None  # of log latency
    rate: Trend | None = None  # of completions over those to be expected
    in_flight: Trend | None = None  # over the mean

    @property
    def spread(self) -> float | None:
        """Largest relative difference of the three parts, in rate or latency."""
        found = [_spread(trend, logarithmic=trend is self.latency) for trend in (self.latency, self.rate) if trend]
        return max(found, default=None)

    def drifts(self) -> Iterator[str]:
        """Each way in which the window was not level."""
        for name, trend in (
            ("latency", self.latency),
            ("completed rate", self.rate),
            ("requests in flight", self.in_flight),
        ):
            if trend is None:
                continue
            logarithmic = trend is self.latency
            spread = _spread(trend, logarithmic=logarithmic)
            change = float(np.expm1(trend.change)) if logarithmic else trend.change
            if abs(change) > LEAST_DRIFT and trend.slope_p < SLOPE_SIGNIFICANCE:
                yield f"drifting: {name} changed by {change:+.0%} over the window (p = {trend.slope_p:.1g})"
            elif spread > LEAST_DRIFT and trend.parts_p < PARTS_SIGNIFICANCE:
                yield f"drifting: {name} differs by {spread:.0%} between thirds of the window (p = {trend.parts_p:.1g})"


def stationarity_of(columns: Columns, window: Window, *, closed: bool) -> Stationarity:
    """The window's level, from the columns in the order of due times."""
    rows = due_in(columns, window)
    ok = succeeded(rows)
    spans = span_count(int(np.count_nonzero(ok)))
    if spans is None:
        return Stationarity()
    log_ns = np.log(np.maximum(response_ns(rows)[ok], 1))
    return Stationarity(
        latency=trend_of(means(rows["due_ns"][ok], log_ns, window, spans)),
        rate=_rate(columns, window, spans, closed=closed),
        in_flight=None if closed else _in_flight(columns, window, spans),
    )


def span_count(successes: int) -> int | None:
    """Into how many spans a window is cut: a multiple of three, with enough requests in each; None if there are not."""
    spans = min(MOST_SPANS, 3 * (successes // (3 * LEAST_PER_SPAN)))
    return spans if spans >= LEAST_SPANS else None


def _rate(columns: Columns, window: Window, spans: int, *, closed: bool) -> Trend | None:
    done = counts(columns["done_ns"][succeeded(columns)], window, spans)
    if done.sum() == 0:
        return None
    due = np.ones(spans) if closed else counts(columns["due_ns"], window, spans)
    expected = due * (done.sum() / due.sum()) if due.sum() else due
    return trend_of(1 + (done - expected) / done.mean())


def _in_flight(columns: Columns, window: Window, spans: int) -> Trend | None:
    taken_up = columns["start_ns"] >= 0
    level: Spans = mean_open(columns["start_ns"][taken_up], columns["done_ns"][taken_up], window, spans)
    return trend_of(level / level.mean()) if level.mean() > 0 else None


def _spread(trend: Trend, *, logarithmic: bool) -> float:
    """Largest part over the smallest, less one."""
    low, high = min(trend.part_means), max(trend.part_means)
    if logarithmic:
        return float(np.expm1(high - low))
    return high / low - 1 if low > 0 else float(high - low)
