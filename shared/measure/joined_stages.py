"""Stages that the server wrote down beside its answers, put into the rows of the requests that they belong to. Pure."""

import numpy as np
import numpy.typing as npt

from shared.measure.columns import ERROR_KINDS, NOT_AVAILABLE, Columns

Numbers = npt.NDArray[np.int64]

_OK = ERROR_KINDS.index("ok")


def with_stages(
    columns: Columns, numbers: Numbers, *, request_id: Numbers, queue_ns: Numbers, inference_ns: Numbers
) -> Columns:
    """The columns with queue and inference times of the successful requests that had none.

    Args:
        columns: of n requests.
        numbers: what each of them was numbered, shape (n,).
        request_id: numbers of the requests that the server wrote down, each once, shape (m,), in any order.
        queue_ns: durations of those, shape (m,).
        inference_ns: the same.
    """
    if not len(request_id):
        return columns
    order = np.argsort(request_id)
    place = np.minimum(np.searchsorted(request_id[order], numbers), len(order) - 1)
    row = order[place]
    silent = (columns["server_queue_ns"] == NOT_AVAILABLE) & (columns["server_inference_ns"] == NOT_AVAILABLE)
    found = (request_id[row] == numbers) & silent & (columns["error"] == _OK)
    return {
        **columns,
        "server_queue_ns": np.where(found, queue_ns[row], columns["server_queue_ns"]),
        "server_inference_ns": np.where(found, inference_ns[row], columns["server_inference_ns"]),
    }
