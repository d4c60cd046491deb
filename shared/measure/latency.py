"""Latency distributions from raw samples: nearest-rank percentiles, never interpolated, never averaged."""

from typing import Final

import numpy as np
import numpy.typing as npt

from shared.measure.columns import Columns
from shared.measure.record import LatencySummary

Durations = npt.NDArray[np.int64]

NS_PER_MS: Final = 1_000_000


def response_ns(columns: Columns) -> Durations:
    """From the due time until the answer was ready for use. Right where the request succeeded."""
    return np.asarray(columns["done_ns"] - columns["due_ns"])


def service_ns(columns: Columns) -> Durations:
    """From the send until the last byte of the answer. Right where the request succeeded."""
    return np.asarray(columns["last_byte_ns"] - columns["send_start_ns"])


def rank(n: int, per_mille: int) -> int:
    """The 1-based rank of a percentile among ``n`` samples: ceil(n * q), in whole numbers, so that it is exact."""
    return -(-n * per_mille // 1000)


def percentile_ms(ascending_ns: Durations, per_mille: int, *, failures: int = 0) -> float | None:
    """The nearest-rank percentile of sorted samples; 990 is p99.

    ``failures`` count as samples that took for ever. None where there is no sample, or where the percentile is
    one of the failures.
    """
    place = rank(len(ascending_ns) + failures, per_mille)
    if not 1 <= place <= len(ascending_ns):
        return None
    return float(ascending_ns[place - 1]) / NS_PER_MS


def summarize(durations_ns: Durations) -> LatencySummary:
    """The distribution in milliseconds; all None where there is no sample. The deviation is the sample's (n - 1)."""
    ascending = np.sort(durations_ns)
    n = len(ascending)
    return LatencySummary(
        n=n,
        mean_ms=float(ascending.mean()) / NS_PER_MS if n else None,
        stddev_ms=float(ascending.std(ddof=1)) / NS_PER_MS if n > 1 else None,
        min_ms=float(ascending[0]) / NS_PER_MS if n else None,
        p50_ms=percentile_ms(ascending, 500),
        p90_ms=percentile_ms(ascending, 900),
        p95_ms=percentile_ms(ascending, 950),
        p99_ms=percentile_ms(ascending, 990),
        max_ms=float(ascending[-1]) / NS_PER_MS if n else None,
    )
