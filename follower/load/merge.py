"""From each worker's rows to one run's columns: exact, whatever the number of workers. Pure."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from shared.measure.columns import COLUMNS, NOT_AVAILABLE, Columns


def merge_rows(workers: Sequence[npt.NDArray[np.void]]) -> dict[str, npt.NDArray[Any]]:
    """All rows as columns, ordered by due time, then worker, then the worker's own order.

    ``workers[w]`` holds worker w's rows, shape (n_w,), as ``follower.load.samples.RECORD``.
    """
    due_ns = np.concatenate([rows["due_ns"] for rows in workers]) if workers else np.zeros(0, dtype=np.int64)
    order = np.argsort(due_ns, kind="stable")  # the workers come in their order already
    columns = {}
    for name, kind in COLUMNS.items():
        parts = [rows[name] for rows in workers]
        columns[name] = np.concatenate(parts)[order].astype(kind) if parts else np.zeros(0, dtype=kind)
    return columns


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
