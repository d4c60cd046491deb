"""What an arrival law gives, and the arithmetic that all laws share."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

NS_PER_S: Final = 1_000_000_000

LONGEST_MEAN_GAP_NS: Final = 1e17
"""Three years: no mean gap is taken as longer, so that none overflows. No plan is longer than 25 h."""


@dataclass(frozen=True, kw_only=True)
class Arrivals:
    """When requests are due, from 0, ascending; or, for a closed loop, how many are kept in flight."""

    due_ns: npt.NDArray[np.int64]
    rate_rps: float | None = None  # the law's own; None where the plan's requests have to be counted
    concurrency: int | None = None
    think_time_ns: int = 0
    max_in_flight: int | None = None
    all_at_once: bool = False  # nothing is offered at a rate


def mean_gap_ns(rate_rps: float) -> float:
    """1 / rate in nanoseconds."""
    return min(NS_PER_S / rate_rps, LONGEST_MEAN_GAP_NS)


def none_due() -> npt.NDArray[np.int64]:
    """The due times of a closed loop."""
    return np.zeros(0, dtype=np.int64)
