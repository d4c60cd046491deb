"""The job's limits against what was measured. A failure counts as a request that took for ever.

A limit on a percentile has three answers. It is met where so few requests took longer that the percentile is below the
limit with a confidence of 99 %, by LoadGen's early stopping. It is missed where the percentile's whole 95 % interval
lies above, or where no steady latency exists. Otherwise the sample does not tell. Limits on shares and rates compare
the measured number.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from shared.jobs.slo import SloSpec
from shared.measure.certification import CONFIDENCE, interval_ranks, passes
from shared.measure.independence import Worth
from shared.measure.latency import NS_PER_MS, Durations, worth_with_failures
from shared.measure.record import PERCENTILES, Goodput, LatencySummary, SloCheck
from shared.measure.windows import Mask

_PERCENTILE_LIMITS: Final[Mapping[str, str]] = {
    "p50_ms": "p50",
    "p90_ms": "p90",
    "p95_ms": "p95",
    "p99_ms": "p99",
    "p999_ms": "p99.9",
}


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What the limits are held against."""

    response_ns: Durations  # of every request of the window, in the order of due times, shape (n,)
    failed: Mask  # which of them failed, shape (n,)
    summary: LatencySummary  # of the same, with failures
    error_rate: float
    throughput_rps: float
    goodput: Goodput | None
    unsteady: str | None = None  # why no steady latency exists


def check_slo(slo: SloSpec | None, measured: Measured) -> tuple[SloCheck, ...]:
    """One check for each limit that the job names, in the order of the specification."""
    limits = (slo or SloSpec()).model_dump(exclude_none=True, exclude={"request"})
    worth = worth_with_failures(measured.response_ns, measured.failed)
    return tuple(
        _percentile_check(limit, allowed, measured, worth)
        if limit in _PERCENTILE_LIMITS
        else _plain_check(limit, allowed, measured)
        for limit, allowed in limits.items()
    )


def _plain_check(limit: str, allowed: float, measured: Measured) -> SloCheck:
    if limit == "error_rate":
        found, met = measured.error_rate, measured.error_rate <= allowed
    elif limit == "throughput_rps":
        found, met = measured.throughput_rps, measured.throughput_rps >= allowed
    else:
        found = measured.goodput.share if measured.goodput else 1.0 - measured.error_rate
        met = found >= allowed
    return SloCheck(limit=limit, allowed=allowed, measured=found, met=met)


def _percentile_check(limit: str, allowed: float, measured: Measured, worth: Worth) -> SloCheck:
    name = _PERCENTILE_LIMITS[limit]
    claimed = (measured.summary.with_failures or measured.summary.percentiles)[name]
    met, reason = _told(PERCENTILES[name], allowed, measured, worth)
    return SloCheck(limit=limit, allowed=allowed, measured=claimed.ms, met=met, reason=reason)


def _told(q: float, allowed_ms: float, measured: Measured, worth: Worth) -> tuple[bool | None, str | None]:
    """Whether the limit is met, and why where that is not plain."""
    n = len(measured.failed)
    if n == int(np.count_nonzero(measured.failed)):
        return False, "no request succeeded"
    if measured.unsteady:
        return False, measured.unsteady
    overs = int(np.count_nonzero(measured.failed | (measured.response_ns > allowed_ms * NS_PER_MS)))
    weight = worth.at(round(allowed_ms * NS_PER_MS))
    effective = math.floor(weight)
    if passes(q, effective, math.ceil(overs * effective / n)):
        return True, None
    low = interval_ranks(q, n, weight).low
    if low is not None and n - overs < low:
        return False, None
    found = f"{overs} of {n} requests took longer"
    return None, f"undecided: {found}; worth {effective} independent ones, too few for a confidence of {CONFIDENCE:.0%}"
