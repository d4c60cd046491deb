"""From a workload to its plan: every due time and every payload, drawn whole before the start.

Where the randomness comes from, and why a seed keeps its digest, is told in ``shared.workload.draws``.
"""

import math
from collections.abc import Callable, Mapping
from typing import Final

import numpy as np
import numpy.typing as npt

from shared.errors import InvalidInput
from shared.jobs.workload import ColdStartWorkload, WorkloadSpec
from shared.workload import draws
from shared.workload.law import NS_PER_S, Arrivals
from shared.workload.modulated import mmpp
from shared.workload.plan import Plan
from shared.workload.renewal import constant, gamma, poisson
from shared.workload.rescaled import ramp, sine, spike, step
from shared.workload.scenarios import closed, mlperf, offline, replay

_CLOSED_ROTATION: Final = 4096  # payloads drawn for a closed loop before its order repeats

PATTERNS: Final[Mapping[str, Callable[..., Arrivals]]] = {
    "closed": closed,
    "constant": constant,
    "poisson": poisson,
    "gamma": gamma,
    "mmpp": mmpp,
    "ramp": ramp,
    "step": step,
    "spike": spike,
    "sine": sine,
    "trace": replay,
    "offline": offline,
    "mlperf": mlperf,
}
"""Every arrival pattern that can be planned, by its name in the job file; the law of ``trace`` takes the trace too.

``search`` is not here: it is a row of runs, each with a plan of its own. Nor is ``cold-start``, which has none.
"""


def make_plan(workload: WorkloadSpec, payload_count: int, trace_ns: npt.NDArray[np.int64] | None = None) -> Plan:
    """The frozen workload of a run over ``payload_count`` different payloads.

    Payloads are taken in rounds; each round holds every payload once, in an order of its own.

    Args:
        workload: what the job file says.
        payload_count: how many different payloads there are.
        trace_ns: for pattern trace and no other: the arrivals, from 0, ascending, shape (n,).

    Raises:
        InvalidInput: there is no payload; the pattern is a search or a cold start; a trace is missing or has no use;
            more requests are drawn than can be planned.
    """
    if payload_count < 1:
        raise InvalidInput(f"a plan needs at least 1 payload, found {payload_count}")
    if workload.pattern == "search":
        raise InvalidInput("a search has no plan of its own; each of its probes is a run with a plan at one rate")
    if isinstance(workload, ColdStartWorkload):
        raise InvalidInput("a cold start has no plan: nothing arrives, the service is started again and again")
    if trace_ns is not None and workload.pattern != "trace":
        raise InvalidInput(f"a trace goes with pattern trace, and with no other; found {workload.pattern}")
    law = PATTERNS[workload.pattern]
    arrivals = law(workload) if trace_ns is None else law(workload, trace_ns)
    closed_loop = arrivals.concurrency is not None
    length = max(_CLOSED_ROTATION, payload_count) if closed_loop else len(arrivals.due_ns)
    return Plan(
        pattern=workload.pattern,
        seed=workload.seed,
        warmup_ns=workload.warmup,
        duration_ns=workload.duration,
        due_ns=arrivals.due_ns,
        payload=_rotation(workload.seed, payload_count, length, whole_rounds=closed_loop),
        concurrency=arrivals.concurrency,
        think_time_ns=arrivals.think_time_ns,
        max_in_flight=arrivals.max_in_flight,
        rate_rps=_offered_rps(arrivals, workload.warmup, workload.duration),
    )


def _offered_rps(arrivals: Arrivals, warmup_ns: int, duration_ns: int) -> float | None:
    """The law's own rate, or the requests due inside the window over its length."""
    if arrivals.rate_rps is not None or arrivals.concurrency is not None or arrivals.all_at_once:
        return arrivals.rate_rps
    inside = len(arrivals.due_ns) - int(np.searchsorted(arrivals.due_ns, warmup_ns, side="left"))
    return inside / duration_ns * NS_PER_S


def _rotation(seed: int, payload_count: int, length: int, *, whole_rounds: bool) -> npt.NDArray[np.int32]:
    """Payload of each request, shape (length,), or as many whole rounds as cover ``length``."""
    rounds = max(1, math.ceil(length / payload_count))
    keys = draws.stream(seed, draws.PAYLOADS).random_raw(rounds * payload_count).reshape(rounds, payload_count)
    order = np.argsort(keys, axis=1, kind="stable").astype(np.int32).ravel()
    return order if whole_rounds else order[:length]
