"""Little's law as a check of our own bookkeeping.

Over a finite window it is exact: the mean number in flight, times the window, is the time that all requests
together spent inside it. The left side is counted by the sender as requests come and go, the right side is summed
over the columns' stamps; a row lost, doubled or mis-stamped makes them differ.
"""

import numpy as np

from shared.measure.columns import NOT_AVAILABLE, Columns
from shared.measure.windows import Window, time_inside_ns


def mean_in_flight(columns: Columns, window: Window) -> float:
    """Mean number in flight inside the window, from take-up to end, by the columns' stamps."""
    taken_up = columns["start_ns"] >= 0
    spent_ns = time_inside_ns(columns["start_ns"][taken_up], columns["done_ns"][taken_up], window)
    return float(spent_ns.sum()) / (window.end_ns - window.start_ns)


def little_error(columns: Columns, window: Window, counted: float) -> float:
    """Relative difference between the stamps' mean in flight and the sender's ``counted`` one."""
    by_stamps = mean_in_flight(columns, window)
    largest = max(by_stamps, counted)
    return abs(by_stamps - counted) / largest if largest > 0 else 0.0


def most_in_flight(columns: Columns) -> int:
    """The largest number of requests that had been taken up and had not ended, at any moment.

    One that ends in the very nanosecond in which another is taken up makes room for it.
    """
    taken = columns["start_ns"] != NOT_AVAILABLE
    starts_ns = np.sort(columns["start_ns"][taken])
    ends_ns = np.sort(columns["done_ns"][taken])
    if not len(starts_ns):
        return 0
    ended = np.searchsorted(ends_ns, starts_ns, side="right")
    return max(1, int((np.arange(1, len(starts_ns) + 1) - ended).max()))
