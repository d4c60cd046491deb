"""From a workload to its plan: every due time and every payload, drawn whole before the start.

Draws come from PCG64's raw words through ``SeedSequence``, the parts of numpy's random module whose streams are
promised not to change, and are rounded to nanoseconds before they are summed, so that a seed keeps its digest.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from shared.errors import InvalidInput
from shared.jobs.workload import ClosedWorkload, ConstantWorkload, PoissonWorkload, WorkloadSpec
from shared.workload.plan import Plan

_NS_PER_S: Final = 1_000_000_000
_ARRIVAL_STREAM: Final = 0
_PAYLOAD_STREAM: Final = 1
_CLOSED_ROTATION: Final = 4096  # payloads drawn for a closed loop before its order repeats


@dataclass(frozen=True, kw_only=True)
class Arrivals:
    """When requests are due, from 0, ascending; or, for a closed loop, how many are kept in flight."""

    due_ns: npt.NDArray[np.int64]
    rate_rps: float | None = None
    concurrency: int | None = None


def make_plan(workload: WorkloadSpec, payload_count: int) -> Plan:
    """The frozen workload of a run over ``payload_count`` different payloads.

    Payloads are taken in rounds; each round holds every payload once, in an order of its own.

    Raises:
        InvalidInput: there is no payload.
    """
    if payload_count < 1:
        raise InvalidInput(f"a plan needs at least 1 payload, found {payload_count}")
    arrivals = PATTERNS[workload.pattern](workload)
    length = max(_CLOSED_ROTATION, payload_count) if arrivals.concurrency else len(arrivals.due_ns)
    return Plan(
        pattern=workload.pattern,
        seed=workload.seed,
        warmup_ns=workload.warmup,
        duration_ns=workload.duration,
        due_ns=arrivals.due_ns,
        payload=_rotation(workload.seed, payload_count, length, whole_rounds=arrivals.concurrency is not None),
        concurrency=arrivals.concurrency,
        rate_rps=arrivals.rate_rps,
    )


def _constant(workload: ConstantWorkload) -> Arrivals:
    """Equal gaps: request i is due at i / rate."""
    end_ns = workload.warmup + workload.duration
    count = math.ceil(end_ns * workload.rate / _NS_PER_S)
    due_ns = np.rint(np.arange(count) * (_NS_PER_S / workload.rate)).astype(np.int64)
    return Arrivals(due_ns=due_ns[due_ns < end_ns], rate_rps=workload.rate)


def _poisson(workload: PoissonWorkload) -> Arrivals:
    """Exponential gaps by inversion, summed over warm-up and window without a break."""
    end_ns = workload.warmup + workload.duration
    stream = _stream(workload.seed, _ARRIVAL_STREAM)
    expected = end_ns * workload.rate / _NS_PER_S
    chunk = int(expected + 6 * math.sqrt(expected)) + 16  # enough at once in all but about one case of a billion
    due_ns = np.zeros(0, dtype=np.int64)
    last_ns = 0
    while last_ns < end_ns:
        uniform = (stream.random_raw(chunk) >> np.uint64(11)) * 2.0**-53  # [0, 1) with 53 bits
        gaps_ns = np.rint(-np.log1p(-uniform) * (_NS_PER_S / workload.rate)).astype(np.int64)
        due_ns = np.concatenate([due_ns, last_ns + np.cumsum(gaps_ns)])
        last_ns = int(due_ns[-1])
    return Arrivals(due_ns=due_ns[due_ns < end_ns], rate_rps=workload.rate)


def _closed(workload: ClosedWorkload) -> Arrivals:
    """Nothing is due by the clock: an answer makes the next request due."""
    return Arrivals(due_ns=np.zeros(0, dtype=np.int64), concurrency=workload.concurrency)


PATTERNS: Final[Mapping[str, Callable[[Any], Arrivals]]] = {
    "constant": _constant,
    "poisson": _poisson,
    "closed": _closed,
}
"""Every arrival pattern, by its name in the job file."""


def _rotation(seed: int, payload_count: int, length: int, *, whole_rounds: bool) -> npt.NDArray[np.int32]:
    """Payload of each request, shape (length,), or as many whole rounds as cover ``length``."""
    rounds = max(1, math.ceil(length / payload_count))
    keys = _stream(seed, _PAYLOAD_STREAM).random_raw(rounds * payload_count).reshape(rounds, payload_count)
    order = np.argsort(keys, axis=1, kind="stable").astype(np.int32).ravel()
    return order if whole_rounds else order[:length]


def _stream(seed: int, purpose: int) -> np.random.PCG64:
    """Independent streams of one seed, so that a longer plan does not change the payload order."""
    return np.random.PCG64(np.random.SeedSequence(seed, spawn_key=(purpose,)))
