"""Is one system faster than another: the difference, how sure it is, and one word. Pure.

Each side is one or more runs of one configuration. What is compared is a percentile of the response latency over all
requests of a side, failures counting as requests that took for ever, or the throughput. All reckoning is on the log
scale, so that differences are relative; "B against A" throughout.

How far the difference may be off:

* with one run a side, by the sampling error inside the runs alone (``shared.measure.sampling_error``). How much whole
  runs differ from one another is then not known, and the result says so;
* with repeats, by how much the runs of a side really differ. The deviation is pooled over both sides, which run on
  the same kind of host, and is never taken to be smaller than the sampling error inside the runs.

The word, with Student's t:

1. ``equivalent``: the whole interval of the difference lies inside the margin, even where a difference is sure;
2. ``faster`` or ``slower``: the interval leaves out "no difference";
3. ``equivalent`` again, where two one-sided tests at ``TOST_ALPHA`` say that the difference lies inside the margin
   (D. J. Schuirmann, "A Comparison of the Two One-Sided Tests Procedure and the Power Approach", 1987);
4. ``inconclusive``: none of these; then it is told how many requests, or runs, a side would need.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

from shared.measure.independence import BATCHES
from shared.measure.latency import FOR_EVER_NS, rank
from shared.measure.planning import ALPHA, requests_needed, runs_needed
from shared.measure.record import PERCENTILES
from shared.measure.sampling_error import Estimate, least_effective_n, percentile_estimate, rate_estimate
from shared.measure.t_quantile import student_quantile

MARGIN: Final = 0.05
"""Differences up to this one count as none: repeats of one configuration on one host differ by a few per cent, and a
difference of 5 % is the smallest that the project promises to find."""

TOST_ALPHA: Final = 0.05
"""Of each of the two one-sided tests; the convention of equivalence testing."""

FEW_FREEDOM: Final = 4
"""Degrees of freedom below which the t-quantile is more than twice the normal one; 4 come from 3 runs a side."""

COMPARED: Final = (*PERCENTILES, "throughput")
"""What can be compared."""

Outcome = Literal["faster", "slower", "equivalent", "inconclusive"]

Durations = npt.NDArray[np.int64]


@dataclass(frozen=True)
class RunData:
    """What a comparison reads of one run."""

    response_ns: Durations  # of the window's requests in the order of their due times; FOR_EVER_NS where one failed
    completed: npt.NDArray[np.int64]  # successful answers in equal parts of the window
    part_s: float  # length of one part


class Shown(BaseModel):
    """A part of the result."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class SideResult(Shown):
    """One side. ``value`` is in ms, or in requests per second; None where it cannot be told."""

    value: float | None
    runs: int
    requests: int
    n_effective: float
    failures: int


class Comparison(Shown):
    """B against A. Relative differences are of A's value: 0.05 is 5 % more."""

    at: str
    unit: Literal["ms", "req/s"]
    a: SideResult
    b: SideResult
    outcome: Outcome
    difference: float | None  # in the unit
    relative: float | None
    low: float | None  # interval of the relative difference
    high: float | None
    confidence: float
    margin: float
    superiority: float | None  # chance that a request of B is faster than one of A, ties half (Vargha and Delaney's A)
    between_runs: float | None  # relative standard deviation of single runs; None: not known, one run a side
    requests_needed: int | None = None  # for each side, where the outcome is inconclusive
    runs_needed: int | None = None  # the same, in repeats
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Error:
    """How far the log of the ratio may be off."""

    deviation: float
    freedom: int
    between_runs: float | None

    def reach(self, p: float) -> float:
        return self.deviation * student_quantile(p, self.freedom)


def compare(
    a: Sequence[RunData], b: Sequence[RunData], at: str, *, margin: float = MARGIN, alpha: float = ALPHA
) -> Comparison:
    """Compares two sides of at least one run each at a percentile (``p99``) or at ``throughput``.

    Raises:
        ValueError: a side has no run, or ``at`` is not in ``COMPARED``, or the margin is not above 0.
    """
    if not a or not b or at not in COMPARED or margin <= 0:
        raise ValueError(f"nothing to compare: {len(a)} and {len(b)} runs, at {at!r}, margin {margin}")
    estimates = [[_estimate(run, at) for run in side] for side in (a, b)]
    values = [_value(side, own, at) for side, own in zip((a, b), estimates, strict=True)]
    error = _error(*estimates)
    outcome, ratio = _decided(values, error, at, margin, alpha)
    reach = None if error is None or ratio is None else error.reach(1 - alpha / 2)
    needed = _needed(estimates, error, at, margin, alpha) if outcome == "inconclusive" else (None, None)
    return Comparison(
        at=at,
        unit="req/s" if at == "throughput" else "ms",
        a=_side(a, estimates[0], values[0]),
        b=_side(b, estimates[1], values[1]),
        outcome=outcome,
        difference=None if ratio is None or values[0] is None else values[0] * math.expm1(ratio),
        relative=None if ratio is None else math.expm1(ratio),
        low=None if ratio is None or reach is None else math.expm1(ratio - reach),
        high=None if ratio is None or reach is None else math.expm1(ratio + reach),
        confidence=1 - alpha,
        margin=margin,
        superiority=superiority(_pooled(a), _pooled(b)),
        between_runs=error.between_runs if error else None,
        requests_needed=needed[0],
        runs_needed=needed[1],
        notes=tuple(_notes(values, estimates, error)),
    )


def superiority(a: Durations, b: Durations) -> float | None:
    """The chance that one duration of ``b`` is shorter than one of ``a``, ties counting half; None where one is empty.

    A. Vargha and H. D. Delaney, "A Critique and Improvement of the CL Common Language Effect Size Statistics", 2000.
    """
    if not len(a) or not len(b):
        return None
    ascending = np.sort(a)
    shorter = np.searchsorted(ascending, b, side="right")
    tied = shorter - np.searchsorted(ascending, b, side="left")
    return float(1 - (shorter.mean() - tied.mean() / 2) / len(a))


def _estimate(run: RunData, at: str) -> Estimate:
    if at == "throughput":
        return rate_estimate(run.completed, run.part_s)
    return percentile_estimate(run.response_ns, PERCENTILES[at])


def _value(side: Sequence[RunData], estimates: Sequence[Estimate], at: str) -> float | None:
    """A side's number over all its requests together: a percentile in ms, never a mean of percentiles."""
    if at == "throughput":
        span_s = sum(run.part_s * len(run.completed) for run in side)
        return sum(estimate.n for estimate in estimates) / span_s if span_s else None
    pooled = _pooled(side)
    if not len(pooled):
        return None
    place = rank(len(pooled), PERCENTILES[at]) - 1
    found = int(np.partition(pooled, place)[place])
    return None if found == FOR_EVER_NS else found / 1e6


def _pooled(side: Sequence[RunData]) -> Durations:
    return np.concatenate([run.response_ns for run in side])


def _error(a: Sequence[Estimate], b: Sequence[Estimate]) -> _Error | None:
    """None where a run's own deviation cannot be told."""
    within = [[estimate.log_deviation for estimate in side] for side in (a, b)]
    own = [[deviation for deviation in side if deviation is not None] for side in within]
    if [len(side) for side in own] != [len(a), len(b)]:
        return None
    freedom = len(a) + len(b) - 2
    squares = [sum(d * d for d in side) / len(side) ** 2 for side in own]
    if freedom == 0:
        return _Error(math.sqrt(sum(squares)), _welch(squares), None)
    logs = [np.log([estimate.value or 1.0 for estimate in side]) for side in (a, b)]
    between = sum(float(np.sum((side - side.mean()) ** 2)) for side in logs) / freedom
    pooled = max(sum(squares), between * (1 / len(a) + 1 / len(b)))
    return _Error(math.sqrt(pooled), freedom, math.sqrt(between))


def _welch(squares: Sequence[float]) -> int:
    """Degrees of freedom of the sum of two variances, each from the parts of one run (Welch and Satterthwaite)."""
    each = BATCHES - 1
    below = sum(square**2 for square in squares) / each
    return max(1, math.floor(sum(squares) ** 2 / below)) if below else 2 * each


def _decided(
    values: Sequence[float | None], error: _Error | None, at: str, margin: float, alpha: float
) -> tuple[Outcome, float | None]:
    """The word, and the log of B's value over A's."""
    first, second = values
    if not first or not second:
        return "inconclusive", None
    ratio, inside = math.log(second / first), math.log1p(margin)
    if error is None:
        return "inconclusive", ratio
    reach = error.reach(1 - alpha / 2)
    if abs(ratio) + reach <= inside:
        return "equivalent", ratio
    if abs(ratio) > reach:
        return ("faster" if (ratio > 0) == (at == "throughput") else "slower"), ratio
    return ("equivalent" if abs(ratio) + error.reach(1 - TOST_ALPHA) <= inside else "inconclusive"), ratio


def _needed(
    estimates: Sequence[Sequence[Estimate]], error: _Error | None, at: str, margin: float, alpha: float
) -> tuple[int | None, int | None]:
    """Requests of one run, or runs, that each side would need to find a difference as large as the margin."""
    every = [estimate for side in estimates for estimate in side]
    if error and error.between_runs is not None:
        return None, runs_needed(max(error.between_runs, _typical(every)), margin, alpha=alpha)
    units = [estimate.unit_deviation for estimate in every]
    known = [unit for unit in units if unit is not None]
    if len(known) == len(units):
        return requests_needed(math.sqrt(sum(unit**2 for unit in known) / len(known)), margin, alpha=alpha), None
    if at == "throughput":
        return None, None
    floor = least_effective_n(PERCENTILES[at])
    return max((math.ceil(floor * e.n / e.n_effective) for e in every if e.n_effective), default=floor), None


def _typical(estimates: Sequence[Estimate]) -> float:
    """Root mean square of the deviations inside single runs."""
    squares = [(estimate.log_deviation or 0.0) ** 2 for estimate in estimates]
    return math.sqrt(sum(squares) / len(squares))


def _side(side: Sequence[RunData], estimates: Sequence[Estimate], value: float | None) -> SideResult:
    return SideResult(
        value=value,
        runs=len(side),
        requests=sum(len(run.response_ns) for run in side),
        n_effective=sum(estimate.n_effective for estimate in estimates),
        failures=sum(int(np.count_nonzero(run.response_ns == FOR_EVER_NS)) for run in side),
    )


def _notes(values: Sequence[float | None], estimates: Sequence[Sequence[Estimate]], error: _Error | None) -> list[str]:
    notes = [
        f"side {name} has no finite value: it falls on failed requests, or there are none"
        for name, value in zip("AB", values, strict=True)
        if not value
    ]
    if error is None:
        notes.append("the sampling error cannot be told: too few requests, or failures reach into the interval")
    elif error.between_runs is None:
        notes.append("one run a side: how much whole runs differ from one another is not known")
    if any(len(side) > 1 for side in estimates) and error and error.freedom < FEW_FREEDOM:
        notes.append(
            f"few repeats: {error.freedom} degrees of freedom make the interval wide; more runs a side narrow it"
        )
    return notes
