"""The rows of a run that is still going on, read from the senders' tables; it costs the senders nothing."""

import time
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from follower.load.merge import merge_rows
from follower.load.samples import RECORD, WrittenRows
from shared.measure.columns import Columns
from shared.workload.plan import Plan

_STEP_ROWS = 1024  # rows of a closed loop that are looked at together


class LiveTable:
    """One worker's new rows.

    Rows end in any order. How far to look is known without asking the worker: an open plan has taken up nothing
    that is not yet due, and a closed one has at most ``concurrency`` unfinished rows before a finished one.
    """

    def __init__(self, written: WrittenRows, plan: Plan, origin_ns: int) -> None:
        self._written = written
        self._due_ns = plan.due_ns
        self._origin_ns = origin_ns
        self._step = None if plan.concurrency is None else max(_STEP_ROWS, plan.concurrency + 1)
        self._reached = 0
        self._waiting = np.zeros(0, dtype=np.int64)  # rows before _reached that had not ended

    def take(self, now_ns: int) -> npt.NDArray[np.void]:
        """Rows that ended since the last call, as RECORD, shape (n,)."""
        rows = self._written.rows()
        flags = rows["written"]
        reach = min(len(rows), self._reach(flags, now_ns))
        looked = np.concatenate([self._waiting, np.arange(self._reached, reach)])
        has_ended = flags[looked] == 1
        self._waiting = looked[~has_ended]
        self._reached = max(reach, self._reached)
        ended: npt.NDArray[np.void] = rows[looked[has_ended]]
        return ended

    def _reach(self, flags: npt.NDArray[np.int8], now_ns: int) -> int:
        if self._step is None:
            return int(np.searchsorted(self._due_ns, now_ns - self._origin_ns, side="right"))
        reach = self._reached
        while flags[reach : reach + self._step].any():
            reach += self._step
        return reach


class LiveTables:
    """All workers' new rows: the ``LiveRows`` that a run's ``on_start`` gets."""

    def __init__(
        self,
        workers: Sequence[tuple[WrittenRows, Plan]],
        origin_ns: int,
        clock_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        """``workers``: each one's rows and its slice of the plan."""
        self._tables = [LiveTable(written, plan, origin_ns) for written, plan in workers]
        self._clock_ns = clock_ns

    def take(self) -> Columns:
        """The rows of the requests that ended since the last call."""
        now_ns = self._clock_ns()
        return merge_rows([table.take(now_ns) for table in self._tables] or [np.zeros(0, dtype=RECORD)])
