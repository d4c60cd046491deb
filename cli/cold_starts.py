"""Cold starts in words: one line for each phase, and from which inference on latency was steady."""

from collections.abc import Iterator
from typing import Final

from cli.quantities import NOT_AVAILABLE, milliseconds, percent
from shared.measure.record import ColdStarts, PhaseSummary, Spread

_NAMES: Final = {
    "spawned_ms": "spawned",
    "port_open_ms": "port open",
    "model_loaded_ms": "model loaded",
    "ready_ms": "ready",
    "first_inference_ms": "first answer",
}
_BAR: Final = 30


def cold_start_lines(starts: ColdStarts) -> Iterator[str]:
    """A table of the phases, each with least, median and greatest; the bar is the median, against the first answer."""
    yield f"{len(starts.repeats)} starts, {_cache(starts)}"
    yield f"{'':<13} {'min':>9} {'median':>9} {'max':>9}  ms {'n':>4}"
    whole_ms = starts.phases["first_inference_ms"].spread_ms.median
    for key, name in _NAMES.items():
        yield f"{name:<13} {_phase(starts.phases[key])}  {_bar(starts.phases[key].spread_ms.median, whole_ms)}".rstrip()
    yield f"{'steady after':<13} {_spread(starts.steady_after, '.0f')}  inferences{_steady(starts)}"
    yield _median(starts.phases["first_inference_ms"])


def _cache(starts: ColdStarts) -> str:
    shares = [repeat.cached_share for repeat in starts.repeats if repeat.cached_share is not None]
    most = percent(max(shares)) if shares else NOT_AVAILABLE
    return f"cache {starts.cache}: {most} of the model in the page cache before the start, at most"


def _phase(phase: PhaseSummary) -> str:
    return f"{_spread(phase.spread_ms, '.1f')}     {phase.spread_ms.n:>4}"


def _spread(spread: Spread, form: str) -> str:
    values = (spread.min, spread.median, spread.max)
    return " ".join(f"{NOT_AVAILABLE if value is None else format(value, form):>9}" for value in values)


def _bar(value_ms: float | None, whole_ms: float | None) -> str:
    return "█" * round(_BAR * value_ms / whole_ms) if value_ms is not None and whole_ms else ""


def _steady(starts: ColdStarts) -> str:
    known = [repeat.steady_ms for repeat in starts.repeats if repeat.steady_ms is not None]
    return f" · steady at {milliseconds(min(known))} to {milliseconds(max(known))} ms" if known else ""


def _median(first: PhaseSummary) -> str:
    if not first.p50.certified:
        return f"p50 {first.p50.reason}"
    return f"p50 {milliseconds(first.p50.ms)} ms ({milliseconds(first.p50.low_ms)}-{milliseconds(first.p50.high_ms)})"
