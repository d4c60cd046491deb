"""What several cold starts of one service say together. Pure: the same repeats, the same figures."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Final, Literal

import numpy as np

from shared.measure.interference import disturbance
from shared.measure.latency import NS_PER_MS, Durations, rank, summarize
from shared.measure.manifest import HostLimits
from shared.measure.record import (
    STAGES,
    ColdStart,
    ColdStartRepeat,
    ColdStarts,
    DeviceUse,
    Goodput,
    HostUse,
    LatencySummary,
    LoadFidelity,
    PhaseSummary,
    Resources,
    SloCheck,
    Spread,
    Stage,
    StageSummary,
    Verdict,
)

STEADY_WITHIN: Final = 0.1
"""Latency is steady once it is at most so much above the steady median."""

NEIGHBOURS: Final = 5
"""One fast inference among slow ones is luck: the median of so many in a row has to be steady."""

LEAST_INFERENCES: Final = 2 * NEIGHBOURS
"""Below it there is no second half to take the steady median from."""

MOSTLY: Final = 0.5
"""Share of the model's pages in the page cache from which a start that was to be cold was not."""

FIRST_DIFFERS: Final = 1.5
"""The first start over the median of the others from which it is worth a word: it also loads the platform's own files
from disk, which no later one does."""

NO_LOAD: Final = "a cold start has no load"

PHASES: Final = tuple(ColdStart.model_fields)
"""In the order in which a start goes through them."""


_NO_STAGE: Final = StageSummary(n=0, mean_ms=None, p50_ms=None, p90_ms=None, p99_ms=None, share=None)
_NO_RESOURCES: Final = Resources(cpu_mean_pct=None, cpu_max_pct=None, rss_max_bytes=None, samples=0)
_NO_HOST: Final = HostUse(foreign_share=None, steal_share=None, throttled_share=None, collector_share=None)


def _no_latency() -> LatencySummary:
    return summarize(np.array([], np.int64), unsteady=NO_LOAD)


@dataclass(frozen=True, kw_only=True)
class ColdStartMeasurement:
    """The measured part of a cold-start run's record, under the record's own names: what only a load has is absent."""

    cold_starts: ColdStarts
    verdict: Verdict
    notes: tuple[str, ...]
    load: LoadFidelity | None = None
    response_latency: LatencySummary = field(default_factory=_no_latency)
    service_latency: LatencySummary = field(default_factory=_no_latency)
    wire_latency: LatencySummary | None = None
    warmup_s: float = 0.0
    stages: dict[Stage, StageSummary] = field(default_factory=lambda: dict.fromkeys(STAGES, _NO_STAGE))
    throughput_rps: float | None = None
    throughput_samples_per_s: float | None = None
    errors: dict[str, int] = field(default_factory=dict)
    error_rate: float | None = None
    server: Resources = _NO_RESOURCES
    client: Resources = _NO_RESOURCES
    host: HostUse = _NO_HOST
    devices: tuple[DeviceUse, ...] = ()
    batch_size_mean: float | None = None
    slo: tuple[SloCheck, ...] = ()
    goodput: Goodput | None = None


@dataclass(frozen=True)
class Steady:
    """From which inference on latency is steady."""

    median_ms: float | None
    after: int | None  # inferences that came before


def steady_of(latencies_ns: Durations) -> Steady:
    """The steady median, over the second half, and how many inferences came before latency was near it.

    Near is at most ``STEADY_WITHIN`` above, by the median of ``NEIGHBOURS`` in a row, so that neither one lucky
    inference ends the search nor one late one prolongs it.

    Args:
        latencies_ns: service latencies in the order of the inferences, shape (n,).
    """
    if len(latencies_ns) < LEAST_INFERENCES:
        return Steady(None, None)
    steady_ns = _median(latencies_ns[len(latencies_ns) // 2 :].tolist())
    rows = np.lib.stride_tricks.sliding_window_view(latencies_ns, NEIGHBOURS)
    near = np.flatnonzero(np.median(rows, axis=1) <= (1 + STEADY_WITHIN) * steady_ns)
    return Steady(steady_ns / NS_PER_MS, int(near[0]) if len(near) else None)


def typical(repeats: Sequence[ColdStartRepeat]) -> ColdStart:
    """The phases of the repeat whose first answer is the nearest-rank median: one that really was, not a mixture."""
    ordered = sorted((repeat.phases for repeat in repeats), key=lambda phases: phases.first_inference_ms or 0.0)
    return ordered[rank(len(ordered), 0.5) - 1]


def analyze_cold_starts(
    repeats: Sequence[ColdStartRepeat],
    cache: Literal["warm", "cold"],
    *,
    busy_before: float | None = None,
    limits: HostLimits | None = None,
) -> ColdStartMeasurement:
    """Everything that the repeats say, in their order.

    Args:
        repeats: at least one.
        cache: what was asked for.
        busy_before: share of the slot's cores that others used before the first start; None: not known.
        limits: what the follower allows of it; None where it does not judge.
    """
    starts = ColdStarts(
        cache=cache,
        repeats=tuple(repeats),
        phases={name: _phase([getattr(repeat.phases, name) for repeat in repeats]) for name in PHASES},
        steady_after=_spread([r.steady_after for r in repeats if r.steady_after is not None]),
    )
    reasons = (*_reasons(starts), *disturbance(_NO_HOST, busy_before, limits))
    return ColdStartMeasurement(
        cold_starts=starts, verdict=Verdict(kind="stable", reasons=reasons), notes=tuple(_notes(starts))
    )


def _phase(values_ms: Sequence[float | None]) -> PhaseSummary:
    reached = [value for value in values_ms if value is not None]
    whole_ns = np.array([round(value * NS_PER_MS) for value in reached], np.int64)
    return PhaseSummary(spread_ms=_spread(reached), p50=summarize(whole_ns).percentiles["p50"])


def _spread(values: Sequence[float]) -> Spread:
    if not values:
        return Spread(n=0, min=None, median=None, max=None)
    return Spread(n=len(values), min=min(values), median=_median(values), max=max(values))


def _median(values: Sequence[float]) -> float:
    """Nearest rank, as everywhere: one of the values, never a mean of two."""
    return sorted(values)[rank(len(values), 0.5) - 1]


def _reasons(starts: ColdStarts) -> Iterator[str]:
    shares = [repeat.cached_share for repeat in starts.repeats if repeat.cached_share is not None]
    if starts.cache == "cold" and shares and max(shares) > MOSTLY:
        yield f"not cold: up to {max(shares):.0%} of the model stayed in the page cache, though it was to be dropped"
    first, *others = (repeat.phases.first_inference_ms or 0.0 for repeat in starts.repeats)
    if others and first > FIRST_DIFFERS * median(others):
        yield (
            f"the first start took {first / median(others):.1f} times the median of the others: the platform's own"
            " files may not have been in memory yet"
        )
    unsettled = sum(repeat.steady_after is None for repeat in starts.repeats)
    if unsettled:
        yield f"latency was never steady in {unsettled} of {len(starts.repeats)} repeats; more inferences would show it"


def _notes(starts: ColdStarts) -> Iterator[str]:
    yield f"latency percentiles, stages, throughput, error rate and goodput are not available: {NO_LOAD}"
    yield "use of server, client, host and devices is not available: every start is a process of its own"
    p50 = starts.phases["first_inference_ms"].p50
    if not p50.certified:
        yield f"the median of the cold starts is shown with least and greatest: {p50.reason}"
    if any(repeat.cached_share is None for repeat in starts.repeats):
        yield "whether the model was in the page cache is not available: the kernel does not tell"
