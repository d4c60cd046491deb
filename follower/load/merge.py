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
    due_ns = np.concatenate([rows["due_ns"] for rows in workers]) if workers else np.zeros(0, dtype=np.int64)
    order = np.argsort(due_ns, kind="stable")  # the workers come in their order already
    columns = {}
    for name, kind in COLUMNS.items():
        parts = [rows[name] for rows in workers]
        columns[name] = np.concatenate(parts)[order].astype(kind) if parts else np.zeros(0, dtype=kind)
    return columns
