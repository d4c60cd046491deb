"""Laws without a clock of their own: closed loop, offline, replay of a trace, and MLPerf's scenarios as presets."""

import numpy as np

from shared.errors import InvalidInput
from shared.jobs.workload import (
    MLPERF_OFFLINE_SAMPLES,
    ClosedWorkload,
    MlperfWorkload,
    OfflineWorkload,
    TraceWorkload,
)
from shared.workload.draws import Integers
from shared.workload.law import Arrivals, none_due
from shared.workload.renewal import poisson_due_ns

_MLPERF_OFFLINE_IN_FLIGHT = 64  # the default of the offline pattern; MLPerf leaves it to the system under test


def closed(workload: ClosedWorkload) -> Arrivals:
    """Nothing is due by the clock: an answer makes the slot's next request due, after the think time."""
    return Arrivals(due_ns=none_due(), concurrency=workload.concurrency, think_time_ns=workload.think_time)


def offline(workload: OfflineWorkload) -> Arrivals:
    """Every request is due at the window's start; a warm-up is a burst of as many as may be in flight, due at 0."""
    return _all_at_once(workload.warmup, workload.requests, workload.max_in_flight)


def replay(workload: TraceWorkload, trace_ns: Integers | None = None) -> Arrivals:
    """Arrival i is due at trace_ns[i] / speed, up to the window's end.

    Raises:
        InvalidInput: there is no trace.
    """
    if trace_ns is None:
        raise InvalidInput(f"the plan of pattern trace needs the trace {workload.trace!r}")
    end_ns = workload.warmup + workload.duration
    if workload.speed != 1:
        reached = trace_ns[: int(np.searchsorted(trace_ns, end_ns * workload.speed, side="left"))]
        trace_ns = np.rint(reached / workload.speed).astype(np.int64)
    due_ns = trace_ns[: int(np.searchsorted(trace_ns, end_ns, side="left"))]
    return Arrivals(due_ns=due_ns.astype(np.int64), max_in_flight=workload.max_in_flight)


def mlperf(workload: MlperfWorkload) -> Arrivals:
    """A scenario of MLPerf Inference (MLCommons inference rules, "Scenarios") as a preset.

    single-stream, multi-stream: closed loop with one query in flight; a multi-stream query is a request of 8 samples.
    server: Poisson arrivals at ``rate``. offline: at least 24,576 samples, all due at once.

    Raises:
        InvalidInput: the server scenario without a rate.
    """
    if workload.scenario == "offline":
        requests = workload.requests or MLPERF_OFFLINE_SAMPLES
        return _all_at_once(workload.warmup, requests, _MLPERF_OFFLINE_IN_FLIGHT)
    if workload.scenario != "server":
        return Arrivals(due_ns=none_due(), concurrency=1)
    if workload.rate is None:
        raise InvalidInput("MLPerf's server scenario needs a rate")
    due_ns = poisson_due_ns(workload.seed, workload.rate, workload.warmup + workload.duration)
    return Arrivals(due_ns=due_ns, rate_rps=workload.rate)


def _all_at_once(warmup_ns: int, requests: int, max_in_flight: int) -> Arrivals:
    warming = max_in_flight if warmup_ns else 0
    due_ns = np.concatenate([np.zeros(warming, dtype=np.int64), np.full(requests, warmup_ns, dtype=np.int64)])
    return Arrivals(due_ns=due_ns, max_in_flight=max_in_flight, all_at_once=True)
