"""Sample columns written by hand, request by request, in milliseconds from the plan's zero."""

from dataclasses import dataclass

import numpy as np

from shared.measure.columns import COLUMNS, ERROR_KINDS, NOT_AVAILABLE, Columns
from shared.workload.plan import Plan

ORIGIN_NS = 5_000_000_000_000
MS = 1_000_000


@dataclass(frozen=True, kw_only=True)
class Sent:
    """One request. Moments are ms after the plan's zero; None was not observed."""

    due: float
    start: float | None = 0.0
    send: float | None = 0.0
    last: float | None = 0.0
    done: float | None = 0.0
    error: str = "ok"
    queue: float | None = 0.0
    inference: float | None = 0.0
    wire: float | None = None
    server_pre: float | None = None
    server_post: float | None = None
    batch_size: int = 1


def answered(due: float, latency: float, *, late: float = 0.0) -> Sent:
    """A success whose server took all of the time from send to last byte."""
    start, end = due + late, due + late + latency
    return Sent(due=due, start=start, send=start, last=end, done=end, inference=latency)


def failed(due: float, error: str, after: float = 1.0) -> Sent:
    """A failure known ``after`` ms."""
    return Sent(due=due, start=due, send=due, last=None, done=due + after, error=error, queue=None, inference=None)


def not_sent(due: float) -> Sent:
    """A request whose turn never came."""
    return Sent(due=due, start=None, send=None, last=None, done=None, error="not-sent", queue=None, inference=None)


def columns_of(*requests: Sent) -> Columns:
    """The columns that a sender would have left."""
    columns = {name: np.zeros(len(requests), dtype=kind) for name, kind in COLUMNS.items()}
    for row, sent in enumerate(requests):
        moments = {"due_ns": sent.due, "start_ns": sent.start, "send_start_ns": sent.send}
        moments |= {"last_byte_ns": sent.last, "done_ns": sent.done}
        for name, moment in moments.items():
            columns[name][row] = NOT_AVAILABLE if moment is None else ORIGIN_NS + round(moment * MS)
        columns["setup_ns"][row] = NOT_AVAILABLE
        columns["wire_ns"][row] = NOT_AVAILABLE if sent.wire is None else round(sent.wire * MS)
        durations = {"server_queue_ns": sent.queue, "server_inference_ns": sent.inference}
        durations |= {"server_preprocess_ns": sent.server_pre, "server_postprocess_ns": sent.server_post}
        for name, duration in durations.items():
            columns[name][row] = NOT_AVAILABLE if duration is None else round(duration * MS)
        columns["error"][row] = ERROR_KINDS.index(sent.error)
        columns["batch_size"][row] = sent.batch_size
    return columns


def open_plan(due_ms: list[float], *, warmup_ms: float, duration_ms: float, rate_rps: float = 10.0) -> Plan:
    """An open-loop plan with these due times."""
    return Plan(
        pattern="constant",
        seed=1,
        warmup_ns=round(warmup_ms * MS),
        duration_ns=round(duration_ms * MS),
        due_ns=np.array([round(due * MS) for due in due_ms], dtype=np.int64),
        payload=np.zeros(len(due_ms), dtype=np.int32),
        rate_rps=rate_rps,
    )


def closed_plan(concurrency: int, *, warmup_ms: float, duration_ms: float) -> Plan:
    """A closed-loop plan."""
    return Plan(
        pattern="closed",
        seed=1,
        warmup_ns=round(warmup_ms * MS),
        duration_ns=round(duration_ms * MS),
        due_ns=np.zeros(0, dtype=np.int64),
        payload=np.zeros(1, dtype=np.int32),
        concurrency=concurrency,
    )
