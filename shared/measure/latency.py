"""Latency distributions from raw samples: nearest-rank percentiles, never interpolated, never averaged."""

from typing import Final

import numpy as np
import numpy.typing as npt

from shared.measure.certification import interval_ranks, samples_needed
from shared.measure.columns import NOT_AVAILABLE, Columns
from shared.measure.independence import Worth
from shared.measure.record import PERCENTILES, LatencySummary, Percentile
from shared.measure.windows import Mask

Durations = npt.NDArray[np.int64]

NS_PER_MS: Final = 1_000_000
FOR_EVER_NS: Final = np.iinfo(np.int64).max
"""How long a failed request took, where failures count."""

_MILLION: Final = 1_000_000


def response_ns(columns: Columns) -> Durations:
    """From the due time until the answer was ready for use. Right where the request succeeded."""
    return np.asarray(columns["done_ns"] - columns["due_ns"])


def service_ns(columns: Columns) -> Durations:
    """From the send until the last byte of the answer. Right where the request succeeded."""
    return np.asarray(columns["last_byte_ns"] - columns["send_start_ns"])


def wire_ns(columns: Columns) -> Durations:
    """Between the kernel's stamps, of the requests that have them, shape (m,)."""
    taken = columns["wire_ns"]
    return np.asarray(taken[taken != NOT_AVAILABLE])


def rank(n: int, q: float) -> int:
    """The 1-based rank of the ``q``-quantile among ``n`` samples: ceil(n q), in whole numbers, so that it is exact.

    ``q`` has at most six decimals.
    """
    return -(-n * round(q * _MILLION) // _MILLION)


def percentile_ms(ascending_ns: Durations, q: float, *, failures: int = 0) -> float | None:
    """The nearest-rank percentile of sorted samples; 0.99 is p99.

    ``failures`` count as samples that took for ever. None where there is no sample, or where the percentile is
    one of the failures.
    """
    return sample_ms(ascending_ns, rank(len(ascending_ns) + failures, q))


def sample_ms(ascending_ns: Durations, place: int | None) -> float | None:
    """The sample of a 1-based rank; None where there is none, or where it lies among the failures."""
    if place is None or not 1 <= place <= len(ascending_ns):
        return None
    return float(ascending_ns[place - 1]) / NS_PER_MS


def summarize(durations_ns: Durations, *, failed: Mask | None = None, unsteady: str | None = None) -> LatencySummary:
    """The distribution in milliseconds; all None where there is no sample. The deviation is the sample's (n - 1).

    Args:
        durations_ns: of all requests in the order of their due times, shape (n,).
        failed: which of them failed, shape (n,); their durations are not looked at. Where it is given, percentiles
            with failures stand beside those of the successes.
        unsteady: why no percentile describes anything, if that is so.
    """
    succeeded_ns = durations_ns if failed is None or not failed.any() else durations_ns[~failed]
    n = len(succeeded_ns)
    worth = Worth(succeeded_ns)
    ascending = np.sort(succeeded_ns)
    return LatencySummary(
        n=n,
        n_effective=worth.overall if n else None,
        mean_ms=float(ascending.mean()) / NS_PER_MS if n else None,
        stddev_ms=float(ascending.std(ddof=1)) / NS_PER_MS if n > 1 else None,
        min_ms=sample_ms(ascending, 1),
        max_ms=sample_ms(ascending, n),
        percentiles=_percentiles(ascending, n, worth, unsteady),
        with_failures=None if failed is None else _with_failures(ascending, durations_ns, failed, worth, unsteady),
    )


def worth_with_failures(durations_ns: Durations, failed: Mask) -> Worth:
    """What all requests together are worth, a failure being one that took for ever."""
    return Worth(np.where(failed, FOR_EVER_NS, durations_ns))


def missing(q: float, n_effective: float) -> str | None:
    """What a sample lacks to certify a percentile; None if nothing."""
    needed = samples_needed(q)
    return (
        None if n_effective >= needed else f"not certified: {int(n_effective)} effective samples, {needed} are needed"
    )


def _with_failures(
    ascending_ns: Durations, durations_ns: Durations, failed: Mask, worth: Worth, unsteady: str | None
) -> dict[str, Percentile]:
    if len(ascending_ns) < len(durations_ns):
        worth = worth_with_failures(durations_ns, failed)
    return _percentiles(ascending_ns, len(durations_ns), worth, unsteady)


def _percentiles(ascending_ns: Durations, n: int, worth: Worth, unsteady: str | None) -> dict[str, Percentile]:
    """Every percentile of the record among ``n`` requests, of which the sorted ones succeeded."""
    if unsteady:
        none = Percentile(ms=None, low_ms=None, high_ms=None, certified=False, reason=unsteady)
        return dict.fromkeys(PERCENTILES, none)
    return {name: _percentile(ascending_ns, n, worth, q) for name, q in PERCENTILES.items()}


def _percentile(ascending_ns: Durations, n: int, worth: Worth, q: float) -> Percentile:
    place = rank(n, q)
    failure = "falls on a failed request" if place > len(ascending_ns) else None
    at_ns = int(ascending_ns[place - 1]) if 1 <= place <= len(ascending_ns) else FOR_EVER_NS - 1
    effective = worth.at(at_ns)
    ranks, lack = interval_ranks(q, n, effective), missing(q, effective)
    return Percentile(
        ms=None if lack else sample_ms(ascending_ns, place),
        low_ms=sample_ms(ascending_ns, ranks.low),
        high_ms=sample_ms(ascending_ns, ranks.high),
        certified=lack is None,
        n_effective=effective if n else None,
        reason=lack or failure,
    )
