"""Is an open loop's server overloaded? Then no steady latency exists at this rate.

Either the backlog grows through the whole window; or it has grown as far as the requests' time limit lets it, so that
many give up and those that are answered have waited nearly as long.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from shared.measure.batches import mean_open
from shared.measure.columns import ERROR_KINDS, Columns
from shared.measure.latency import response_ns
from shared.measure.windows import Window, completed_in, due_in, succeeded

PARTS: Final = 10
"""The window is cut in so many parts; noise within a part averages out."""

GROWTHS: Final = ((0.9, 0.02), (0.8, 0.05))
"""Correlation of the backlog with time, and growth over the window as a share of its requests, which together count as
growth. A server of constant capacity below the load gives a correlation near 1; one stall at the worst place, the end
of the window, gives 0.52. The second pair finds queues of random service times at 1.2 times their capacity: 99 % of
windows of 1,500 requests (M/M/1) or 2,500 (log-normal M/G/1). At 0.8 of capacity, about one window of 500 requests in a
hundred gives either."""

LEAST_TIMEOUTS: Final = 0.05
"""Share of requests that gave up, from which a full backlog is looked for."""

LEAST_WAIT: Final = 0.5
"""The median answer's latency, as a share of how long those that gave up had waited."""

_TIMEOUT = ERROR_KINDS.index("timeout")


@dataclass(frozen=True)
class Backlog:
    """Requests due and not yet answered, over the window."""

    growth_per_s: float  # slope of the least-squares line
    correlation: float  # with time, over the parts' means
    share: float  # growth over the window / requests due in it

    @property
    def is_growing(self) -> bool:
        return any(self.correlation >= least and self.share >= growth for least, growth in GROWTHS)


def backlog_of(columns: Columns, window: Window) -> Backlog:
    """Mean backlog in each part of the window, and the line through them. A request never taken up stays in it."""
    due_ns = columns["due_ns"]
    end_ns = np.where(columns["done_ns"] >= 0, columns["done_ns"], window.end_ns)
    means = mean_open(due_ns, end_ns, window, PARTS)
    if means.std() == 0:
        return Backlog(0.0, 0.0, 0.0)
    times_s = (np.arange(PARTS) + 0.5) * window.duration_s / PARTS
    slope = float(np.polyfit(times_s, means, 1)[0])
    due = int(np.count_nonzero(window.holds(due_ns)))
    share = slope * window.duration_s / due if due else 0.0
    return Backlog(slope, float(np.corrcoef(times_s, means)[0, 1]), share)


def is_at_time_limit(columns: Columns, window: Window) -> bool:
    """Do requests give up because all of them wait about as long as they may? A server that loses some is quicker."""
    rows = due_in(columns, window)
    ok, gave_up = succeeded(rows), rows["error"] == _TIMEOUT
    if np.count_nonzero(gave_up) <= LEAST_TIMEOUTS * len(ok) or not ok.any():
        return False
    waited_ns = np.median((rows["done_ns"] - rows["start_ns"])[gave_up])
    return bool(np.median(response_ns(rows)[ok]) >= LEAST_WAIT * waited_ns)


@dataclass(frozen=True)
class Overload:
    """A server that gets more than it can do."""

    capacity_rps: float  # what it completed per second of the window
    reason: str


def overload_of(columns: Columns, window: Window) -> Overload | None:
    """Of an open loop, from the columns in the order of due times; None if the server keeps up."""
    backlog = backlog_of(columns, window)
    if backlog.is_growing:
        how = f"the backlog grew by {backlog.growth_per_s:.3g} a second"
    elif is_at_time_limit(columns, window):
        how = "the backlog stayed at what the requests' time limit lets it hold"
    else:
        return None
    due_rps = len(due_in(columns, window)["due_ns"]) / window.duration_s
    capacity_rps = completed_in(columns, window) / window.duration_s
    return Overload(
        capacity_rps=capacity_rps,
        reason=f"overloaded: {due_rps:.4g} requests/s were due, {capacity_rps:.4g} were completed, and {how};"
        " no steady latency exists at this rate",
    )
