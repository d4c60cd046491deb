"""Which requests count. A request belongs to the window by its due time; a completion belongs by its own time."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
import numpy.typing as npt

from shared.measure.columns import ERROR_KINDS, Columns
from shared.workload.plan import Plan

Mask = npt.NDArray[np.bool_]
Times = npt.NDArray[np.int64]

OK = ERROR_KINDS.index("ok")

_ORDER: Final = ("due_ns", "start_ns", "done_ns", "worker", "payload")

UNSTEADY_PATTERNS: Final = frozenset({"mmpp", "ramp", "step", "spike", "sine", "trace"})
"""Laws whose rate changes on purpose: nothing steady is asked of them."""


@dataclass(frozen=True)
class Window:
    """The measured span [start_ns, end_ns) on the monotonic clock."""

    start_ns: int
    end_ns: int

    @property
    def duration_s(self) -> float:
        return (self.end_ns - self.start_ns) / 1e9

    def holds(self, times_ns: Times) -> Mask:
        """Which of the times lie inside, shape as given."""
        return (times_ns >= self.start_ns) & (times_ns < self.end_ns)

    def split(self, parts: int) -> "list[Window]":
        """Equal parts, in order."""
        edges = [self.start_ns + (self.end_ns - self.start_ns) * i // parts for i in range(parts + 1)]
        return [Window(start, end) for start, end in pairwise(edges)]


def window_of(plan: Plan, origin_ns: int) -> Window:
    """The plan's window, when its zero fell at ``origin_ns``."""
    return Window(origin_ns + plan.warmup_ns, origin_ns + plan.end_ns)


def is_all_at_once(plan: Plan) -> bool:
    """Is everything of the window due at one moment, as in an offline run?"""
    due_ns = plan.due_ns[plan.due_ns >= plan.warmup_ns]
    return len(due_ns) > 1 and int(due_ns[0]) == int(due_ns[-1])


def is_steady(plan: Plan) -> bool:
    """Does the plan ask for the same load all through its window?"""
    return plan.pattern not in UNSTEADY_PATTERNS and not is_all_at_once(plan)


def in_due_order(columns: Columns) -> Columns:
    """The rows by due time; what shards are merged in any order becomes the same again. No copy where nothing moves."""
    if _is_in_order(columns):
        return columns
    order = np.lexsort([columns[name] for name in reversed(_ORDER)])
    return {name: column[order] for name, column in columns.items()}


def _is_in_order(columns: Columns) -> bool:
    """Only rows that are alike so far are looked at in the next column."""
    later = np.arange(1, len(columns["due_ns"]))
    for name in _ORDER:
        column = columns[name]
        gap = column[later] - column[later - 1]
        if (gap < 0).any():
            return False
        later = later[gap == 0]
    return True


def due_in(columns: Columns, window: Window) -> Columns:
    """The rows of the requests that belong to the window, whatever became of them and whenever they ended.

    In the order of due times; where the columns are in it already, what comes back are views of them.
    """
    ordered = in_due_order(columns)
    first, last = np.searchsorted(ordered["due_ns"], [window.start_ns, window.end_ns])
    return {name: column[first:last] for name, column in ordered.items()}


def succeeded(columns: Columns) -> Mask:
    """Which requests were answered and made ready for use."""
    return np.asarray(columns["error"] == OK)


def completed_in(columns: Columns, window: Window) -> int:
    """How many requests were successfully completed inside the window, whenever they were due."""
    return int(np.count_nonzero(succeeded(columns) & window.holds(columns["done_ns"])))


def time_inside_ns(start_ns: Times, end_ns: Times, window: Window) -> Times:
    """How much of each span [start_ns, end_ns) lies in the window, shape (n,)."""
    clipped = np.minimum(end_ns, window.end_ns) - np.maximum(start_ns, window.start_ns)
    return np.asarray(np.maximum(clipped, 0))
