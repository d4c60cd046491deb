"""A run against a golden server in virtual time: what a sender that is never late would have written down. Pure.

There is no client and no network in it: a request reaches the server at its due time, and its answer is there when
the model says. What the analysis makes of these columns can be compared with what is known of the law itself.
"""

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from shared.measure.columns import CAME_LATER, COLUMNS, ERROR_KINDS, NOT_AVAILABLE, Columns
from shared.testing.behaviour import Behaviour
from shared.testing.service_model import ServiceModel
from shared.workload.plan import Plan

ORIGIN_NS: Final = 1_000_000_000
_OK: Final = ERROR_KINDS.index("ok")
_TIMEOUT: Final = ERROR_KINDS.index("timeout")
_STATUS_OK: Final = 200


def virtual_columns(plan: Plan, behaviour: Behaviour, *, timeout_ns: int, origin_ns: int = ORIGIN_NS) -> Columns:
    """The columns of an open-loop plan, each of shape (n,); faults of the behaviour are left out.

    Requests that take longer than ``timeout_ns`` are given up, as a sender does.
    """
    due_ns = plan.due_ns + origin_ns
    start_ns, end_ns = _served(due_ns, behaviour)
    answered = end_ns - due_ns <= timeout_ns
    done_ns = np.where(answered, end_ns, due_ns + timeout_ns)
    rows = len(due_ns)
    columns: dict[str, npt.NDArray[Any]] = {name: np.zeros(rows, kind) for name, kind in COLUMNS.items()}
    for name in ("due_ns", "start_ns", "send_start_ns", "send_end_ns"):
        columns[name] = due_ns.copy()
    columns["first_byte_ns"] = columns["last_byte_ns"] = np.where(answered, end_ns, NOT_AVAILABLE)
    columns["done_ns"] = done_ns
    columns["status"] = np.where(answered, _STATUS_OK, 0).astype(np.int32)
    columns["error"] = np.where(answered, _OK, _TIMEOUT).astype(np.int16)
    columns["payload"] = plan.payload.copy()
    for name, reported_ns in {
        "server_queue_ns": start_ns - due_ns,
        "server_inference_ns": end_ns - start_ns,
        "server_total_ns": end_ns - due_ns,
        "batch_size": np.ones(rows, np.int32),
    }.items():
        columns[name] = np.where(answered, reported_ns, NOT_AVAILABLE).astype(COLUMNS[name])
    for name in ("wire_ns", *CAME_LATER):
        columns[name] = np.full(rows, NOT_AVAILABLE, np.int64)
    return columns


def _served(due_ns: npt.NDArray[np.int64], behaviour: Behaviour) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Start and end of each request, shapes (n,); all at once where requests do not depend on one another."""
    model = ServiceModel(behaviour)
    if not behaviour.serial and not behaviour.stall_s:
        return due_ns, due_ns + model.independent_ns(len(due_ns))
    times = np.array([model.times(moment) for moment in due_ns.tolist()], dtype=np.int64).reshape(-1, 2)
    return times[:, 0], times[:, 1]


def in_flight_of(columns: Columns, window_start_ns: int, window_end_ns: int) -> tuple[int, float]:
    """Most requests in flight at once, and their mean over the window: counted from starts and ends."""
    start_ns, done_ns = columns["start_ns"], columns["done_ns"]
    moments = np.concatenate([start_ns, done_ns])
    changes = np.concatenate([np.ones(len(start_ns), np.int64), -np.ones(len(done_ns), np.int64)])
    order = np.lexsort((changes, moments))  # an end at the moment of a start comes first
    peak = int(np.cumsum(changes[order]).max(initial=0))
    inside = np.clip(done_ns, window_start_ns, window_end_ns) - np.clip(start_ns, window_start_ns, window_end_ns)
    return peak, float(inside.sum() / (window_end_ns - window_start_ns))
