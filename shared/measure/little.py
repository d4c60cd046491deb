"""Little's law as a check of our own bookkeeping.

Over a finite window it is exact: the mean number in flight, times the window, is the time that all requests
together spent inside it. The left side is counted by the sender as requests come and go, the right side is summed
over the columns' stamps; a row lost, doubled or mis-stamped makes them differ.
"""

from shared.measure.columns import Columns
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
