"""A run as a row of equal spans of time: what happened in each of them, shape (spans,)."""

import numpy as np
import numpy.typing as npt

from shared.measure.windows import Times, Window

Spans = npt.NDArray[np.float64]


def counts(times_ns: Times, window: Window, spans: int) -> Spans:
    """How many of the times fall into each span."""
    inside = times_ns[window.holds(times_ns)]
    return np.bincount(_span_of(inside, window, spans), minlength=spans).astype(np.float64)


def means(times_ns: Times, values: npt.NDArray[np.float64], window: Window, spans: int) -> Spans:
    """Mean of the values whose times fall into each span; the mean of all where none does."""
    inside = window.holds(times_ns)
    place = _span_of(times_ns[inside], window, spans)
    number = np.bincount(place, minlength=spans)
    total = np.bincount(place, weights=values[inside], minlength=spans)
    overall = total.sum() / max(1, number.sum())
    return np.where(number > 0, total / np.maximum(number, 1), overall)


def mean_open(start_ns: Times, end_ns: Times, window: Window, spans: int) -> Spans:
    """Mean number of intervals [start_ns, end_ns) that are open, over each span."""
    width = (window.end_ns - window.start_ns) / spans
    return (_passed(start_ns, window, spans) - _passed(end_ns, window, spans)) / width


def _passed(times_ns: Times, window: Window, spans: int) -> Spans:
    """Integral over each span of how many of the times have passed."""
    width = (window.end_ns - window.start_ns) / spans
    before_end = np.maximum(times_ns[times_ns < window.end_ns], window.start_ns)
    place = _span_of(before_end, window, spans)
    number = np.bincount(place, minlength=spans)
    offsets = np.bincount(place, weights=(before_end - window.start_ns).astype(np.float64), minlength=spans)
    ends = width * np.arange(1, spans + 1)
    earlier = np.concatenate([[0], np.cumsum(number)[:-1]])
    return np.asarray(ends * number - offsets + width * earlier)


def _span_of(times_ns: Times, window: Window, spans: int) -> Times:
    return np.asarray((times_ns - window.start_ns) * spans // (window.end_ns - window.start_ns))
