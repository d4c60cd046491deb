"""Laws whose rate is a known function of time, by time rescaling.

If the cumulative rate at the arrivals is a Poisson process of rate 1, the arrivals are a Poisson process of the given
rate (Brown et al., "The time-rescaling theorem and its application to neural spike train data analysis", Neural
Computation 14, 2002). So positions on the cumulative rate are drawn, or taken in equal steps, and inverted.
"""

import math
from collections.abc import Callable
from typing import Final

import numpy as np
import numpy.typing as npt

from shared.jobs.workload import Arrivals as ArrivalKind
from shared.jobs.workload import RampWorkload, SineWorkload, SpikeWorkload, StepWorkload
from shared.workload import draws
from shared.workload.draws import Floats, Integers
from shared.workload.law import NS_PER_S, Arrivals

_STEPS_PER_REQUEST: Final = 2**36
"""Unit gaps are rounded to 1.5e-11 of a request, so that their sum is exact: 10 M of them stay below 2**60."""

_CELLS: Final = 2**16
_NEWTON_STEPS: Final = 8
_MOST_AT_ONCE: Final = 2**18


def positions(kind: ArrivalKind, seed: int, total: float) -> Floats:
    """Arrivals on the cumulative rate, by unit exponential gaps or 0, 1, 2, ...; ascending, below ``total``."""
    if kind == "constant":
        return np.arange(math.ceil(total), dtype=np.float64)
    source = draws.stream(seed, draws.ARRIVALS)
    end = math.ceil(total * _STEPS_PER_REQUEST)
    steps = draws.running_sum(lambda n: draws.exponentials(source, n) * _STEPS_PER_REQUEST, total, end)
    return steps / _STEPS_PER_REQUEST


class LinearPieces:
    """A rate that is linear in each of a row of pieces, and may jump between them."""

    def __init__(self, lengths_ns: npt.ArrayLike, first_rps: npt.ArrayLike, last_rps: npt.ArrayLike) -> None:
        """Length of each piece, and the rate at its start and end, each of shape (k,)."""
        lengths = np.asarray(lengths_ns, dtype=np.float64)
        some = lengths > 0
        self._length_s = lengths[some] / NS_PER_S
        self._first = np.asarray(first_rps, dtype=np.float64)[some]
        self._last = np.asarray(last_rps, dtype=np.float64)[some]
        self._start_ns = np.concatenate([[0.0], np.cumsum(lengths[some])])
        self._before = np.concatenate([[0.0], np.cumsum(self._length_s * (self._first + self._last) / 2)])

    @property
    def total(self) -> float:
        """Expected requests over all pieces."""
        return float(self._before[-1])

    def times_ns(self, at: Floats) -> Floats:
        """Where the cumulative rate reaches each position, shape (n,)."""
        return _in_parts(self._times_ns, at)

    def _times_ns(self, at: Floats) -> Floats:
        piece = np.clip(np.searchsorted(self._before, at, side="right") - 1, 0, len(self._first) - 1)
        inside = at - self._before[piece]
        first = self._first[piece]
        slope = ((self._last - self._first) / self._length_s)[piece]
        root = np.sqrt(np.maximum(first**2 + 2 * slope * inside, 0.0))
        return np.asarray(self._start_ns[piece] + 2 * inside / (first + root) * NS_PER_S)


def ramp(workload: RampWorkload) -> Arrivals:
    """The first rate through the warm-up, then evenly to the second."""
    start, end = workload.from_rate, workload.to_rate
    return _along(LinearPieces([workload.warmup, workload.duration], [start, start], [start, end]), workload)


def step(workload: StepWorkload) -> Arrivals:
    """The first rate through the warm-up, then each rate for an equal part of the window."""
    parts = len(workload.rates)
    rates = [workload.rates[0], *workload.rates]
    return _along(LinearPieces([workload.warmup, *[workload.duration / parts] * parts], rates, rates), workload)


def spike(workload: SpikeWorkload) -> Arrivals:
    """One rate, another for a while, the first again."""
    before_ns = workload.warmup + workload.spike_at
    after_ns = workload.duration - workload.spike_at - workload.spike_duration
    rates = [workload.rate, workload.spike_rate, workload.rate]
    return _along(LinearPieces([before_ns, workload.spike_duration, after_ns], rates, rates), workload)


def _along(curve: LinearPieces, workload: RampWorkload | StepWorkload | SpikeWorkload) -> Arrivals:
    times_ns = curve.times_ns(positions(workload.arrivals, workload.seed, curve.total))
    end_ns = workload.warmup + workload.duration
    return Arrivals(due_ns=rounded_before(times_ns, end_ns), max_in_flight=workload.max_in_flight)


def sine(workload: SineWorkload) -> Arrivals:
    """The rate is rate x (1 + amplitude x sin(2 pi t / period)), t from the window's start.

    The warm-up has the mean rate.
    """
    end_ns = workload.warmup + workload.duration
    share = workload.duration / workload.period
    swing = workload.amplitude / (2 * math.pi)
    per_period = workload.rate * workload.period / NS_PER_S
    warmup = workload.rate * workload.warmup / NS_PER_S
    total = warmup + per_period * (share + swing * (1 - math.cos(2 * math.pi * share)))
    at = positions(workload.arrivals, workload.seed, total)
    early = int(np.searchsorted(at, warmup, side="left"))
    periods = (at[early:] - warmup) / per_period
    times_ns = np.concatenate(
        [
            at[:early] / workload.rate * NS_PER_S,
            workload.warmup + (np.floor(periods) + _phases(periods % 1.0, swing)) * workload.period,
        ]
    )
    return Arrivals(due_ns=rounded_before(times_ns, end_ns), max_in_flight=workload.max_in_flight)


def _phases(share: Floats, swing: float) -> Floats:
    """Phase u in [0, 1] at which u + swing (1 - cos 2 pi u) reaches each share of a period's requests, shape (n,)."""
    knots = np.linspace(0.0, 1.0, _CELLS + 1)
    reached = knots + swing * (1 - np.cos(2 * math.pi * knots))
    return _in_parts(lambda part: _phase(part, swing, knots, reached), share)


def _phase(share: Floats, swing: float, knots: Floats, reached: Floats) -> Floats:
    """Newton's method, kept inside the knots around each root; where the rate is near zero it halves instead."""
    cell = np.clip(np.searchsorted(reached, share, side="right") - 1, 0, _CELLS - 1)
    low, high = knots[cell], knots[cell + 1]
    u = (low + high) / 2
    for _ in range(_NEWTON_STEPS):
        excess = u + swing * (1 - np.cos(2 * math.pi * u)) - share
        low, high = np.where(excess < 0, u, low), np.where(excess < 0, high, u)
        slope = 1 + 2 * math.pi * swing * np.sin(2 * math.pi * u)
        guess = u - excess / np.maximum(slope, 1e-12)
        u = np.where((guess >= low) & (guess <= high), guess, (low + high) / 2)
    return u


def _in_parts(function: Callable[[Floats], Floats], values: Floats) -> Floats:
    """The function of all values, a part at a time, because its intermediate arrays are many."""
    cuts = range(_MOST_AT_ONCE, len(values), _MOST_AT_ONCE)
    return np.concatenate([function(part) for part in np.split(values, cuts)])


def rounded_before(times_ns: Floats, end_ns: int) -> Integers:
    """Whole nanoseconds, ascending, below ``end_ns``, shape (n,)."""
    due_ns = np.maximum.accumulate(np.rint(times_ns).astype(np.int64))
    return np.asarray(due_ns[: int(np.searchsorted(due_ns, end_ns, side="left"))])
