"""Whether the load that was asked for is the load that was sent."""

import numpy as np

from shared.measure.columns import ERROR_KINDS, NOT_AVAILABLE, Columns
from shared.measure.latency import NS_PER_MS, percentile_ms
from shared.measure.record import LoadFidelity
from shared.measure.windows import Window, completed_in, due_in, is_all_at_once, is_steady, succeeded
from shared.workload.plan import Plan

_NOT_SENT = ERROR_KINDS.index("not-sent")
_TIMEOUT = ERROR_KINDS.index("timeout")


def load_fidelity(columns: Columns, plan: Plan, origin_ns: int, window: Window, max_in_flight: int) -> LoadFidelity:
    """Counts are over the requests due inside the window; rates count what happened inside it.

    ``columns`` in the order of due times. What is due all at once is completed over its makespan: from the window's
    start to the last success inside it.
    """
    rows = due_in(columns, window)
    attempted = rows["error"] != _NOT_SENT
    lateness_ns = np.sort((rows["start_ns"] - rows["due_ns"])[attempted])
    planned = int(np.count_nonzero(window.holds(plan.due_ns + origin_ns)))
    return LoadFidelity(
        pattern=plan.pattern,
        offered_rps=_offered_rps(plan, planned, window),
        sent_rps=int(np.count_nonzero(window.holds(columns["start_ns"]))) / window.duration_s,
        completed_rps=completed_in(columns, window) / completing_s(columns, plan, window),
        planned=None if plan.concurrency else planned,
        sent=int(np.count_nonzero(attempted)),
        completed=int(np.count_nonzero(succeeded(rows))),
        pending=int(np.count_nonzero((rows["error"] == _TIMEOUT) & (rows["send_start_ns"] != NOT_AVAILABLE))),
        send_lateness_p50_ms=percentile_ms(lateness_ns, 0.5),
        send_lateness_p99_ms=percentile_ms(lateness_ns, 0.99),
        send_lateness_max_ms=float(lateness_ns[-1]) / NS_PER_MS if len(lateness_ns) else None,
        max_in_flight=max_in_flight,
        seed=plan.seed,
        plan_sha256=plan.sha256,
    )


def completing_s(columns: Columns, plan: Plan, window: Window) -> float:
    """The time over which completions are counted: the window, or an offline plan's makespan where that is shorter."""
    done_ns = columns["done_ns"][succeeded(columns) & window.holds(columns["done_ns"])]
    if not is_all_at_once(plan) or not len(done_ns):
        return window.duration_s
    return max(1, int(done_ns.max()) - window.start_ns) / 1e9


def _offered_rps(plan: Plan, planned: int, window: Window) -> float | None:
    """The law's rate; of a plan without one rate, or of a window that begins later than planned, what was due in it."""
    if plan.rate_rps is None:
        return None
    return plan.rate_rps if is_steady(plan) else planned / window.duration_s
