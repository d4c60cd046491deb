"""Does the backlog of an open loop grow through the whole window? Then no steady latency exists at this rate."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from shared.measure.columns import Columns
from shared.measure.windows import Window, time_inside_ns

PARTS: Final = 10
"""The window is cut in so many parts; noise within a part averages out."""

STEADY_CORRELATION: Final = 0.9
"""Correlation of the backlog with time from which it counts as growth. A server of constant capacity below the
load gives nearly 1; one stall at the worst place, the end of the window, gives 0.52 over ten parts."""

LEAST_GROWTH: Final = 0.02
"""Growth over the window, as a share of its requests, below which it is of no consequence."""


@dataclass(frozen=True)
class Backlog:
    """Requests due and not yet answered, over the window."""

    growth_per_s: float  # slope of the least-squares line
    correlation: float  # with time, over the parts' means
    share: float  # growth over the window / requests due in it

    @property
    def is_growing(self) -> bool:
        return self.correlation >= STEADY_CORRELATION and self.share >= LEAST_GROWTH


def backlog_of(columns: Columns, window: Window) -> Backlog:
    """Mean backlog in each part of the window, and the line through them. A request never taken up stays in it."""
    due_ns = columns["due_ns"]
    end_ns = np.where(columns["done_ns"] >= 0, columns["done_ns"], window.end_ns)
    parts = window.split(PARTS)
    means = np.array([time_inside_ns(due_ns, end_ns, part).sum() / (part.end_ns - part.start_ns) for part in parts])
    times_s = np.array([(part.start_ns + part.end_ns) / 2 - window.start_ns for part in parts]) / 1e9
    if means.std() == 0:
        return Backlog(0.0, 0.0, 0.0)
    slope = float(np.polyfit(times_s, means, 1)[0])
    due = int(np.count_nonzero(window.holds(due_ns)))
    share = slope * window.duration_s / due if due else 0.0
    return Backlog(slope, float(np.corrcoef(times_s, means)[0, 1]), share)
