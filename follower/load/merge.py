"""From each worker's rows to one run's columns: exact, whatever the number of workers. Pure."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from shared.measure.columns import COLUMNS


def merge_rows(workers: Sequence[npt.NDArray[np.void]]) -> dict[str, npt.NDArray[Any]]:
    """All rows as columns, ordered by due time, then worker, then the worker's own order.

    ``workers[w]`` holds worker w's rows, shape (n_w,), as ``follower.load.samples.RECORD``.
    """
    order = _order(workers)
    columns = {}
    for name, kind in COLUMNS.items():
        parts = [rows[name] for rows in workers]
        columns[name] = np.concatenate(parts)[order].astype(kind) if parts else np.zeros(0, dtype=kind)
    return columns


def merge_numbers(
    workers: Sequence[npt.NDArray[np.void]], rows: Sequence[npt.NDArray[np.int64]]
) -> npt.NDArray[np.int64]:
    """What the request of each row of ``merge_rows(workers)`` was numbered; ``rows[w]`` are worker w's row numbers.

    As ``follower.load.numbering`` writes them: row * workers + worker.
    """
    numbers = [own * len(workers) + worker for worker, own in enumerate(rows)]
    return np.concatenate(numbers)[_order(workers)] if numbers else np.zeros(0, dtype=np.int64)


def _order(workers: Sequence[npt.NDArray[np.void]]) -> npt.NDArray[np.intp]:
    due_ns = np.concatenate([rows["due_ns"] for rows in workers]) if workers else np.zeros(0, dtype=np.int64)
    return np.argsort(due_ns, kind="stable")  # the workers come in their order already
