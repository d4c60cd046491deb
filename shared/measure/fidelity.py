"""Whether the load that was asked for is the load that was sent."""

import numpy as np

from shared.measure.columns import ERROR_KINDS, NOT_AVAILABLE, Columns
from shared.measure.latency import NS_PER_MS, percentile_ms
from shared.measure.record import LoadFidelity
from shared.measure.windows import completed_in, due_in, succeeded, window_of
from shared.workload.plan import Plan

_NOT_SENT = ERROR_KINDS.index("not-sent")
_TIMEOUT = ERROR_KINDS.index("timeout")


def load_fidelity(columns: Columns, plan: Plan, origin_ns: int, max_in_flight: int) -> LoadFidelity:
    """Counts are over the requests due inside the window; rates count what happened inside it."""
    window = window_of(plan, origin_ns)
    rows = due_in(columns, window)
    attempted = rows["error"] != _NOT_SENT
    lateness_ns = np.sort((rows["start_ns"] - rows["due_ns"])[attempted])
    return LoadFidelity(
        pattern=plan.pattern,
        offered_rps=plan.rate_rps,
        sent_rps=int(np.count_nonzero(window.holds(columns["start_ns"]))) / window.duration_s,
        completed_rps=completed_in(columns, window) / window.duration_s,
        planned=None if plan.concurrency else int(np.count_nonzero(window.holds(plan.due_ns + origin_ns))),
        sent=int(np.count_nonzero(attempted)),
        completed=int(np.count_nonzero(succeeded(rows))),
        pending=int(np.count_nonzero((rows["error"] == _TIMEOUT) & (rows["send_start_ns"] != NOT_AVAILABLE))),
        send_lateness_p50_ms=percentile_ms(lateness_ns, 500),
        send_lateness_p99_ms=percentile_ms(lateness_ns, 990),
        send_lateness_max_ms=float(lateness_ns[-1]) / NS_PER_MS if len(lateness_ns) else None,
        max_in_flight=max_in_flight,
        seed=plan.seed,
        plan_sha256=plan.sha256,
    )
