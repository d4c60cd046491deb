"""Faults of our own in the samples: what a sound clock and a sound sender cannot produce."""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from shared.measure.columns import Columns
from shared.measure.windows import due_in, succeeded, window_of
from shared.workload.plan import Plan

_ORDER = ("due_ns", "start_ns", "send_start_ns", "last_byte_ns", "done_ns")


def faults(columns: Columns, plan: Plan, origin_ns: int) -> Iterator[str]:
    """Each fault in words; ``columns`` in the order of due times."""
    yield from _misordered(columns)
    if not plan.concurrency:
        yield from _not_as_planned(columns, plan, origin_ns)


def _misordered(columns: Columns) -> Iterator[str]:
    ok = succeeded(columns)
    wrong = np.zeros(len(ok), dtype=np.bool_)
    for earlier, later in pairwise(_ORDER):
        wrong |= ok & (columns[later] < columns[earlier])
    if wrong.any():
        yield f"bookkeeping: the stamps of {int(np.count_nonzero(wrong))} requests are out of order"


def _not_as_planned(columns: Columns, plan: Plan, origin_ns: int) -> Iterator[str]:
    """Every planned request of the window has its row, sent or not, due when the plan says."""
    window = window_of(plan, origin_ns)
    planned_ns = plan.due_ns[plan.due_ns >= plan.warmup_ns] + origin_ns
    found_ns = due_in(columns, window)["due_ns"]
    if len(found_ns) != len(planned_ns):
        yield f"bookkeeping: {len(planned_ns)} requests were planned, and {len(found_ns)} have a row"
    elif not np.array_equal(found_ns, planned_ns):
        yield "bookkeeping: requests are not due when the plan says"
