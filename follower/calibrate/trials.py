"""The two short loads of a calibration, and what they say. Pure.

The first, a closed loop, finds the most that the client can send. The second, an open loop far below that, finds what
client and loopback add to a latency, and how late sends are.
"""

import math
from dataclasses import replace
from datetime import datetime
from typing import Final

import numpy as np
import numpy.typing as npt

from follower.calibrate.null_process import CalibrationFailed
from follower.calibrate.replies import Script
from follower.calibrate.shape import connections_of
from follower.load.protocol import LoadOutcome, LoadRequest
from shared.jobs.workload import MAX_RATE_RPS, ClosedWorkload, ConstantWorkload
from shared.measure.columns import Columns
from shared.measure.manifest import Calibration
from shared.measure.windows import completed_in, due_in, succeeded, window_of
from shared.workload.arrivals import make_plan
from shared.workload.plan import Plan

_WARMUP: Final = "50ms"
_CEILING: Final = "300ms"
_LATENESS: Final = "400ms"
_TIMEOUT_NS: Final = 2_000_000_000

_PARTS: Final = 3
_LEAST_IN_PART: Final = 100

CEILING_SHARE: Final = 0.5
"""Of the ceiling, for the second trial: a client that is half idle shows its own cost, not its queueing."""

LEAST_RATE_RPS: Final = 250.0
"""Of the second trial, ceiling permitting: 100 samples, below which a p99 is the largest of them."""

MOST_FAILED: Final = 0.01
"""A null server does not fail; where more requests than this do, its figures are not those of a client."""


def one_payload(request: LoadRequest) -> LoadRequest:
    """The load with a single payload, so that every request is as long as every other."""
    return replace(request, encoded=request.encoded[:1], raw=request.raw[:1], request_timeout_ns=_TIMEOUT_NS)


def ceiling_plan(request: LoadRequest) -> Plan:
    """As many requests in flight as the run has connections, one after another without a pause."""
    workload = {"pattern": "closed", "concurrency": connections_of(request), "warmup": _WARMUP, "duration": _CEILING}
    return make_plan(ClosedWorkload.model_validate(workload), 1)


def ceiling_rps(outcome: LoadOutcome, plan: Plan) -> float:
    """Requests completed per second in the best third of the window: whoever disturbs for a moment lowers the rest.

    Of the whole window where a third holds fewer than 100 completions, too few for a rate.

    Raises:
        CalibrationFailed: too many failed.
    """
    window = window_of(plan, outcome.origin_ns)
    _require_success(outcome.columns)
    counts = [completed_in(outcome.columns, part) for part in window.split(_PARTS)]
    if min(counts) < _LEAST_IN_PART:
        return completed_in(outcome.columns, window) / window.duration_s
    return max(counts) * _PARTS / window.duration_s


def lateness_plan(rate_rps: float | None, ceiling: float) -> Plan:
    """Equal gaps, at the run's own rate where that is neither too much nor too little to tell; (None: closed loop)."""
    most = max(1.0, ceiling * CEILING_SHARE)
    wanted = most if rate_rps is None else max(rate_rps, LEAST_RATE_RPS)
    rate = min(wanted, most, MAX_RATE_RPS)
    workload = {"pattern": "constant", "rate": rate, "warmup": _WARMUP, "duration": _LATENESS}
    return make_plan(ConstantWorkload.model_validate(workload), 1)


def calibration_of(
    request: LoadRequest, script: Script, *, ceiling: float, open_loop: LoadOutcome, plan: Plan, measured_at: datetime
) -> Calibration:
    """Both trials together.

    Raises:
        CalibrationFailed: too many requests failed, or none was due in the window.
    """
    _require_success(open_loop.columns)
    rows = due_in(open_loop.columns, window_of(plan, open_loop.origin_ns))
    rows = {name: column[succeeded(rows)] for name, column in rows.items()}
    added_ns = np.sort(rows["last_byte_ns"] - rows["send_start_ns"])
    late_ns = np.sort(rows["start_ns"] - rows["due_ns"])
    return Calibration(
        protocol=script.protocol,
        request_bytes=script.request_bytes,
        response_bytes=len(script.response),
        connections=connections_of(request),
        workers=open_loop.workers,
        ceiling_rps=ceiling,
        added_p50_us=_nearest_rank_us(added_ns, 0.50),
        added_p99_us=_nearest_rank_us(added_ns, 0.99),
        lateness_p50_us=_nearest_rank_us(late_ns, 0.50),
        lateness_p99_us=_nearest_rank_us(late_ns, 0.99),
        measured_at=measured_at,
    )


def too_fast(plan: Plan, calibration: Calibration) -> str | None:
    """What to say ahead of a load that asks for more than the client can send; None where it does not.

    What counts is the busiest second of the plan. A plan without a rate, such as an offline one, asks for none.
    """
    if plan.rate_rps is None:
        return None
    planned_rps = max(plan.rate_rps, busiest_second_rps(plan))
    if planned_rps <= calibration.ceiling_rps:
        return None
    return (
        f"planned {planned_rps:,.0f}/s is above what this client can send, about {calibration.ceiling_rps:,.0f}/s:"
        " requests will be late, and the verdict will say so"
    )


def busiest_second_rps(plan: Plan) -> float:
    """The most requests due within one second, counted from 0, of those that last a whole second of the plan."""
    whole_s = plan.end_ns // 1_000_000_000
    if not whole_s or not len(plan.due_ns):
        return 0.0
    counts = np.bincount(plan.due_ns // 1_000_000_000, minlength=whole_s)
    return float(counts[:whole_s].max())


def _nearest_rank_us(ascending_ns: npt.NDArray[np.int64], q: float) -> float:
    if not len(ascending_ns):
        raise CalibrationFailed("no request was due in the window")
    return float(ascending_ns[math.ceil(len(ascending_ns) * q) - 1]) / 1_000


def _require_success(columns: Columns) -> None:
    ok = succeeded(columns)
    failed = len(ok) - int(np.count_nonzero(ok))
    if not len(ok) or failed > MOST_FAILED * len(ok):
        raise CalibrationFailed(f"{failed} of {len(ok)} requests to the null server failed")
