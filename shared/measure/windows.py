"""Which requests count. A request belongs to the window by its due time; a completion belongs by its own time."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from shared.measure.columns import ERROR_KINDS, Columns
from shared.workload.plan import Plan

Mask = npt.NDArray[np.bool_]

OK = ERROR_KINDS.index("ok")


@dataclass(frozen=True)
class Window:
    """The measured span [start_ns, end_ns) on the monotonic clock."""

    start_ns: int
    end_ns: int

    @property
    def duration_s(self) -> float:
        return (self.end_ns - self.start_ns) / 1e9

    def holds(self, times_ns: npt.NDArray[np.int64]) -> Mask:
        """Which of the times lie inside, shape as given."""
        return (times_ns >= self.start_ns) & (times_ns < self.end_ns)

    def split(self, parts: int) -> "list[Window]":
        """Equal parts, in order."""
        edges = [self.start_ns + (self.end_ns - self.start_ns) * i // parts for i in range(parts + 1)]
        return [Window(start, end) for start, end in pairwise(edges)]


def window_of(plan: Plan, origin_ns: int) -> Window:
    """The plan's window, when its zero fell at ``origin_ns``."""
    return Window(origin_ns + plan.warmup_ns, origin_ns + plan.end_ns)


def due_in(columns: Columns, window: Window) -> dict[str, npt.NDArray[np.int64]]:
    """The rows of the requests that belong to the window, whatever became of them and whenever they ended."""
    mask = window.holds(columns["due_ns"])
    return {name: column[mask] for name, column in columns.items()}


def succeeded(columns: Columns) -> Mask:
    """Which requests were answered and made ready for use."""
    return np.asarray(columns["error"] == OK)


def completed_in(columns: Columns, window: Window) -> int:
    """How many requests were successfully completed inside the window, whenever they were due."""
    return int(np.count_nonzero(succeeded(columns) & window.holds(columns["done_ns"])))


def time_inside_ns(
    start_ns: npt.NDArray[np.int64], end_ns: npt.NDArray[np.int64], window: Window
) -> npt.NDArray[np.int64]:
    """How much of each span [start_ns, end_ns) lies in the window, shape (n,)."""
    clipped = np.minimum(end_ns, window.end_ns) - np.maximum(start_ns, window.start_ns)
    return np.asarray(np.maximum(clipped, 0))
