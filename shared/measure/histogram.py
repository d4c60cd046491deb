"""Durations as counts in log-linear buckets: small, quick to add to, and merged by adding the counts.

Up to 256 ns every nanosecond has a bucket; from there on every doubling is cut into 128 equal ones, so a bucket's
middle is off by at most 0.4 %. The layout of G. Tene's HdrHistogram, with seven bits of precision.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

BITS: Final = 7
TOP_NS: Final = 1 << 42
"""From here on (73 minutes, more than the longest time limit of a request) durations are only counted."""

_PART: Final = 1 << BITS
_BUCKETS: Final = _PART * (42 - BITS + 1)


class LatencyHistogram:
    """How many durations fell into each bucket."""

    def __init__(self) -> None:
        self.overflow = 0  # durations of TOP_NS or more
        self._counts = np.zeros(_BUCKETS, dtype=np.int64)

    @property
    def n(self) -> int:
        """All durations, those of the overflow among them."""
        return int(self._counts.sum()) + self.overflow

    def add(self, durations_ns: npt.NDArray[np.int64]) -> None:
        """Count the durations, shape (n,).

        Raises:
            ValueError: one is negative.
        """
        if len(durations_ns) and int(durations_ns.min()) < 0:
            raise ValueError("a duration cannot be negative")
        held = durations_ns[durations_ns < TOP_NS]
        self.overflow += len(durations_ns) - len(held)
        self._counts += np.bincount(_buckets(held), minlength=_BUCKETS)

    def merge(self, other: "LatencyHistogram") -> None:
        """Add the other's counts: exactly the histogram of both sets of durations."""
        self._counts += other._counts  # noqa: SLF001 - of its own kind
        self.overflow += other.overflow

    def quantile_ns(self, q: float) -> int | None:
        """The middle of the bucket of the nearest-rank ``q``-quantile, 0 < q <= 1.

        None where nothing was counted, or where the quantile lies in the overflow.
        """
        place = max(1, int(np.ceil(q * self.n - 1e-9)))
        bucket = int(np.searchsorted(np.cumsum(self._counts), place))
        return _middle_ns(bucket) if bucket < _BUCKETS else None


def _buckets(durations_ns: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Number of each duration's bucket: the leading bits choose the doubling, the next seven the part of it."""
    _, bits = np.frexp(durations_ns.astype(np.float64))  # exact below 2**53
    shift = np.maximum(bits.astype(np.int64) - BITS - 1, 0)
    return (shift << BITS) + (durations_ns >> shift)


def _middle_ns(bucket: int) -> int:
    shift = max((bucket >> BITS) - 1, 0)
    first = (bucket - (shift << BITS)) << shift
    return first + ((1 << shift) - 1) // 2
