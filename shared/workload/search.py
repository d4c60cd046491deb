"""The search for the highest rate that meets the limits: from the probes so far to the next one, or to the end.

Pure, and a function of the probes alone, in whatever order they come: a search that was cut off goes on from the
probes that are stored. It grows the rate from ``start_rate`` (or shrinks it) by 2, 4, 8 and then 16 times a step until
one rate that meets the limits and one that does not are known; then it halves the bracket between them on a log scale.

What each outcome does:

* ``met`` raises the lower end, ``missed`` lowers the upper end. An overloaded server's completed rate is an upper end,
  too: no rate above it is steady.
* ``client-limited`` lowers the upper end, and the result says that the generator was the limit.
* ``undecided`` says that noise hides on which side of the limit the rate lies. Where something was measured, the
  probe leans to a side, and the search goes on as if that were sure: so it closes in on the limit through the noise,
  and a wrong turn costs no more than the noise is wide. Without a measured figure the rate splits the bracket.
* ``failed`` is tried once more; then the search ends.

It stops on the interval: when no part of the bracket is wider than ``precision``, or when the probes are used up. The
answer is the best estimate; the interval around it counts sure outcomes only.
"""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, Literal

from shared.jobs.workload import (
    MAX_PLANNED_REQUESTS,
    ConstantWorkload,
    PoissonWorkload,
    SearchWorkload,
    WorkloadSection,
)
from shared.measure.record import Record, SloCheck

ProbeOutcome = Literal["met", "missed", "undecided", "failed", "client-limited"]

LARGEST_STEP: Final = 16.0
"""Most by which one step changes the rate. Steps of 2, 4, 8 and 16 reach 1,024 times the start rate in five probes,
and a bracket 16 times wide is halved to 5 % in six."""

_LEAST_SHARE_OF_CAPACITY: Final = 0.5
"""Where a capacity is known, no probe of a wide bracket goes below this share of it: limits worth asking for are met
at most of a server's capacity (at half of it, the mean wait of M/D/1 is half a service time)."""

LEAST_SENT: Final = 0.99
"""Share of the planned requests that must have been sent for a rate to have been offered at all, as in the verdict."""

_DIGITS: Final = 5  # significant digits of a rate: ten times finer than the finest precision
_ROUNDING: Final = 1e-9  # of a quotient of two floats


@dataclass(frozen=True)
class Probe:
    """What one rate came to.

    ``capacity_rps``: what the server completed per second, where it was overloaded. ``leans``: to which side the
    measured figures of an undecided probe point, where there are any.
    """

    rate_rps: float
    outcome: ProbeOutcome
    reason: str = ""
    capacity_rps: float | None = None
    leans: Literal["met", "missed"] | None = None


@dataclass(frozen=True)
class NextProbe:
    """The rate to try next."""

    rate_rps: float


@dataclass(frozen=True)
class Finished:
    """The end of a search.

    ``rate_rps`` is the highest rate whose measured figures keep the limits, below every rate whose do not; None where
    there is none. The true limit is believed to lie in [low_rps, high_rps], between outcomes that are sure; None
    leaves that side open.
    """

    rate_rps: float | None
    low_rps: float | None
    high_rps: float | None
    reason: str


@dataclass(frozen=True)
class _Bracket:
    """What the probes say about the limit."""

    low: Probe | None  # the highest that met, below every upper end
    high: Probe | None  # the lowest that did not
    high_rps: float | None  # its rate, or less: a capacity
    undecided: tuple[float, ...]  # ascending, between the two; they lean to no side
    sure_low_rps: float | None  # the same ends without the probes that only lean
    sure_high_rps: float | None

    @property
    def low_rps(self) -> float | None:
        return self.low.rate_rps if self.low else None


def next_step(spec: SearchWorkload, probes: Sequence[Probe]) -> NextProbe | Finished:
    """What to do after these probes. No rate is given twice, but one whose probe failed once."""
    failures = Counter(probe.rate_rps for probe in probes if probe.outcome == "failed")
    decided = {probe.rate_rps for probe in probes if probe.outcome != "failed"}
    bracket = _bracket_of(probes)
    for probe in probes:
        if probe.outcome == "failed" and probe.rate_rps not in decided:
            if failures[probe.rate_rps] > 1:
                return _finished(bracket, f"the probe at {probe.rate_rps:g} requests/s failed twice: {probe.reason}")
            if len(probes) < spec.probes:
                return NextProbe(probe.rate_rps)
            return _finished(bracket, f"the last probe failed, at {probe.rate_rps:g} requests/s: {probe.reason}")
    candidate = _candidate(spec, bracket, sorted(decided))
    if candidate is None:
        return _finished(bracket, _why_done(spec, bracket))
    if len(probes) >= spec.probes:
        return _finished(bracket, f"all {spec.probes} probes are used; {_why_done(spec, bracket)}")
    return NextProbe(candidate)


def probe_workload(spec: SearchWorkload, rate_rps: float) -> ConstantWorkload | PoissonWorkload:
    """The workload of the probe at one rate: the search's own window, seed and time limit."""
    shared = spec.model_dump(mode="json", include=set(WorkloadSection.model_fields))
    if spec.arrivals == "poisson":
        return PoissonWorkload(pattern="poisson", rate=rate_rps, **shared)
    return ConstantWorkload(pattern="constant", rate=rate_rps, **shared)


def probe_of(record: Record) -> Probe:
    """What a probe's record says about its rate.

    Where every request failed, the limits are missed: a failure counts as a request that took for ever. Any other
    invalid run is a failed probe.

    Raises:
        ValueError: the record is of a run without a rate.
    """
    rate_rps = record.load.offered_rps if record.load else None
    asked = record.spec.get("workload", {}).get("rate", rate_rps)
    if asked is None:
        raise ValueError(f"run {record.run_id} offered no rate, so it is no probe of one")
    outcome, reason, open_checks = _judged(record, float(asked))
    return Probe(
        float(asked),
        outcome,
        reason,
        capacity_rps=record.verdict.capacity_rps if outcome == "missed" else None,
        leans=_leaning(open_checks) if outcome == "undecided" else None,
    )


def _judged(record: Record, rate_rps: float) -> tuple[ProbeOutcome, str, list[SloCheck]]:
    """Outcome, reason, and the limits that could not be told.

    A least throughput above the offered rate says nothing about the server, so it does not count here. Limits that are
    kept are kept even if the client was slow, because its lateness counts against them, as long as it sent what it
    should.
    """
    verdict = record.verdict
    why = "; ".join(verdict.reasons)
    if record.error_rate == 1:
        return "missed", why or "every request failed", []
    if verdict.kind == "invalid":
        return "failed", why, []
    if verdict.kind == "overloaded":
        return "missed", why, []
    checks = [check for check in record.slo if check.limit != "throughput_rps" or check.allowed <= rate_rps]
    missed, unsure = ([check for check in checks if check.met is met] for met in (False, None))
    outcome: ProbeOutcome = "missed" if missed else "undecided" if unsure or not record.slo else "met"
    if verdict.kind == "client-limited" and not (outcome == "met" and _was_sent(record)):
        return "client-limited", why, []
    return outcome, "; ".join(map(_told, missed or unsure or checks)) or "no limit applies at this rate", unsure


def _was_sent(record: Record) -> bool:
    load = record.load
    return load is not None and load.planned is not None and load.sent >= LEAST_SENT * load.planned


def _leaning(checks: Sequence[SloCheck]) -> Literal["met", "missed"] | None:
    """To which side the measured percentiles of limits that could not be told point; None where one has none."""
    measured = [(check.measured, check.allowed) for check in checks if check.measured is not None]
    if any(value > allowed for value, allowed in measured):
        return "missed"
    return "met" if measured and len(measured) == len(checks) else None


def _told(check: SloCheck) -> str:
    if check.measured is None:
        return f"{check.limit}: {check.reason or 'not available'} (limit {check.allowed:g})"
    doubt = ", too close to tell" if check.met is None else ""
    return f"{check.limit} {check.measured:.4g} (limit {check.allowed:g}{doubt})"


def _bracket_of(probes: Sequence[Probe]) -> _Bracket:
    """First from the probes that are sure; those that lean count between their ends only."""
    sure = _ends([(probe, probe.outcome) for probe in probes])
    between = [probe for probe in probes if sure.floor < probe.rate_rps < (sure.high_rps or math.inf)]
    known = [(probe, probe.outcome) for probe in probes]
    ends = _ends([*known, *((probe, probe.leans) for probe in between if probe.outcome == "undecided")])
    undecided = {probe.rate_rps for probe in between if probe.outcome == "undecided" and probe.leans is None}
    return _Bracket(
        low=ends.low,
        high=ends.high,
        high_rps=ends.high_rps,
        undecided=tuple(sorted(rate for rate in undecided if ends.floor < rate < (ends.high_rps or math.inf))),
        sure_low_rps=sure.low.rate_rps if sure.low else None,
        sure_high_rps=sure.high_rps,
    )


@dataclass(frozen=True)
class _Ends:
    low: Probe | None
    high: Probe | None
    high_rps: float | None

    @property
    def floor(self) -> float:
        return self.low.rate_rps if self.low else 0.0


def _ends(probes: Sequence[tuple[Probe, str | None]]) -> _Ends:
    """The bracket of probes with what they are taken for. One that met above one that did not is left out."""
    above = [probe for probe, taken in probes if taken in ("missed", "client-limited")]
    high = min(above, key=lambda probe: probe.rate_rps, default=None)
    met = [probe for probe, taken in probes if taken == "met" and (high is None or probe.rate_rps < high.rate_rps)]
    low = max(met, key=lambda probe: probe.rate_rps, default=None)
    floor = low.rate_rps if low else 0.0
    rates = [rate for probe in above for rate in (probe.rate_rps, probe.capacity_rps) if rate and rate > floor]
    return _Ends(low, high, min(rates, default=None))


def _candidate(spec: SearchWorkload, bracket: _Bracket, probed: Sequence[float]) -> float | None:
    """The next rate worth a probe; None where there is none."""
    highest, lowest = _highest_rate(spec), 1e9 / spec.duration  # below: not one request in the window
    rate: float | None
    if not probed:
        rate = spec.start_rate
    elif bracket.high_rps is None:
        rate = probed[-1] * _step(len(probed))
    elif bracket.low is None and not bracket.undecided:
        rate = bracket.high_rps / _step(len(probed))
    else:
        rate = next(_splits(spec, bracket), None)
    if rate is None:
        return None
    rate = min(float(f"{max(rate, lowest):.{_DIGITS}g}"), highest)
    return None if rate in probed else rate


def _step(probes: int) -> float:
    """By how much to change the rate after so many probes on one side of the limit."""
    return min(2.0**probes, LARGEST_STEP)


def _splits(spec: SearchWorkload, bracket: _Bracket) -> Iterator[float]:
    """A rate inside each part of the bracket that is still too wide, the uppermost first."""
    if bracket.high_rps is None:
        return
    ends = [rate for rate in (bracket.low_rps, *bracket.undecided, bracket.high_rps) if rate is not None]
    is_capacity = bracket.high is not None and bracket.high_rps < bracket.high.rate_rps
    least = _LEAST_SHARE_OF_CAPACITY * bracket.high_rps if is_capacity else 0.0
    for low, high in reversed(list(pairwise(ends))):
        if high / low - 1 > spec.precision + _ROUNDING:
            yield max(math.sqrt(low * high), least)
            least = 0.0


def _highest_rate(spec: SearchWorkload) -> float:
    """No probe goes above it: what the job allows, and what can be planned."""
    return min(spec.max_rate, math.floor(MAX_PLANNED_REQUESTS * 1e9 / (spec.warmup + spec.duration)))


def _finished(bracket: _Bracket, reason: str) -> Finished:
    return Finished(bracket.low_rps, bracket.sure_low_rps, bracket.sure_high_rps, reason)


def _why_done(spec: SearchWorkload, bracket: _Bracket) -> str:
    """The state of the bracket in words."""
    low, high = bracket.low, bracket.high
    if high is None or bracket.high_rps is None:
        if low is None:
            return "no probe could tell whether the limits are met: a longer duration is needed"
        bound = "max_rate" if _highest_rate(spec) == spec.max_rate else "what can be planned over this duration"
        return f"the limits are met up to {low.rate_rps:g} requests/s; no higher rate is tried above {bound}"
    at = f"{high.rate_rps:g} requests/s: {high.reason}" if high.reason else f"{high.rate_rps:g} requests/s"
    if high.outcome == "client-limited":
        told = f"the load generator was the limit, not the server, at {at}"
    else:
        told = f"the limits are missed at {at}"
    if bracket.high_rps < high.rate_rps:
        told += f"; the server completed {bracket.high_rps:g} a second"
    if low is None:
        rest = "; too few requests to tell at lower rates: a longer duration is needed" if bracket.undecided else ""
        return f"no rate is known that meets the limits; {told}{rest}"
    width = bracket.high_rps / low.rate_rps - 1
    return f"known within {width:.1%}: met at {low.rate_rps:g} requests/s; {told}"
