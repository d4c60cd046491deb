"""Latencies in words: percentiles with their intervals, or why there are none, and why two latencies differ."""

from collections.abc import Iterator, Sequence
from typing import Final

from cli.quantities import milliseconds
from shared.measure.certification import samples_needed
from shared.measure.record import PERCENTILES, LatencySummary

WHY_THEY_DIFFER: Final = "response counts from when a request was due, service from its send, wire in the kernel"
"""Stands beneath the latencies of every run."""

WORTH_A_PICTURE: Final = 0.1
"""Relative difference of response and service latency from which it is drawn."""

_BAR: Final = 40
_LINES: Final = 3


def response_lines(latency: LatencySummary, columns: int) -> list[str]:
    """Every percentile with its 95 % interval, those that are not certified with what they lack; then the rest."""
    certified = [
        f"{name} {milliseconds(found.ms)} ({_open(found.low_ms)}-{_open(found.high_ms)})"
        for name, found in latency.percentiles.items()
        if found.certified
    ]
    values = [f"mean {milliseconds(latency.mean_ms)}", f"max {milliseconds(latency.max_ms)}", f"ms n={latency.n}"]
    return _packed([*certified, *_uncertified(latency), *values], columns)


def service_line(latency: LatencySummary) -> str:
    """Certified percentiles, mean and number, without intervals."""
    certified = [f"{name} {milliseconds(found.ms)}" for name, found in latency.percentiles.items() if found.certified]
    values = [f"mean {milliseconds(latency.mean_ms)}", f"max {milliseconds(latency.max_ms)}", f"ms n={latency.n}"]
    return "  ".join([*(certified or ["no percentile certified"]), *values])


def latency_picture(response: LatencySummary, service: LatencySummary) -> Iterator[str]:
    """Two bars, where p90 or p50 of response and service differ by more than 10 %; else nothing."""
    for name in ("p90", "p50"):
        longer, shorter = response.ms(name), service.ms(name)
        if longer is None or shorter is None or longer <= (1 + WORTH_A_PICTURE) * shorter:
            continue
        within = max(1, round(_BAR * shorter / longer))
        yield f"response {name} {'█' * _BAR} {milliseconds(longer)} ms"
        yield f"service  {name} {'█' * within}{'·' * (_BAR - within)} {milliseconds(shorter)} ms, dots: not yet sent"
        return


def _uncertified(latency: LatencySummary) -> list[str]:
    """All of them in one phrase; an overloaded run's share one reason."""
    names = [name for name, found in latency.percentiles.items() if not found.certified]
    if not names:
        return []
    reasons = {latency.percentiles[name].reason or "" for name in names}
    if len(names) == len(latency.percentiles) and len(reasons) == 1:
        return [f"no percentile ({reasons.pop()})"]
    needed = "/".join(str(samples_needed(PERCENTILES[name])) for name in names)
    worths = sorted(_worth(latency, name) for name in names)
    worth = "-".join(dict.fromkeys((str(worths[0]), str(worths[-1]))))
    return [f"{'/'.join(names)} not certified (n_eff {worth} of {needed})"]


def _worth(latency: LatencySummary, name: str) -> int:
    """Older records tell it of the whole sample only."""
    return int(latency.percentiles[name].n_effective or latency.n_effective or 0)


def _open(value_ms: float | None) -> str:
    """An interval without an end on that side has none to show."""
    return "…" if value_ms is None else milliseconds(value_ms)


def _packed(phrases: Sequence[str], columns: int) -> list[str]:
    """Phrases side by side, as many as fit in a line, whole; the last line holds what is left."""
    lines = [""]
    for phrase in phrases:
        longer = f"{lines[-1]}  {phrase}".strip()
        if len(longer) <= columns or not lines[-1] or len(lines) == _LINES:
            lines[-1] = longer
        else:
            lines.append(phrase)
    return lines
