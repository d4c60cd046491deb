"""Readings of what processes used, and their summary over a window. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from shared.measure.record import Resources

LEAST_SPAN_NS: Final = 500_000_000
"""The kernel counts a process's CPU time in ticks of 10 ms: over half a second that is 2 % of a core, and the
maximum over shorter spans would be a maximum of rounding."""


@dataclass(frozen=True)
class Reading:
    """What a group of processes had used by a moment, and what it held then."""

    at_ns: int  # monotonic
    cpu_ns: int  # since the first reading, by all of them together
    rss_bytes: int


ResourceSeries = Sequence[Reading]
"""Readings in ascending order of time."""


def summarize_resources(series: ResourceSeries, start_ns: int | None = None, end_ns: int | None = None) -> Resources:
    """Use between two moments, from the readings inside; CPU is None with fewer than two of them.

    The maximum is over spans of at least ``LEAST_SPAN_NS``, or the mean where the window is shorter.
    """
    inside = [
        reading
        for reading in series
        if (start_ns is None or reading.at_ns >= start_ns) and (end_ns is None or reading.at_ns < end_ns)
    ]
    mean = _cpu_pct(inside[0], inside[-1]) if inside else None
    spans = [share for share in map(_cpu_pct, *_spans(inside)) if share is not None]
    return Resources(
        cpu_mean_pct=mean,
        cpu_max_pct=max(spans, default=mean),
        rss_max_bytes=max((reading.rss_bytes for reading in inside), default=None),
        samples=len(inside),
    )


def _cpu_pct(first: Reading, last: Reading) -> float | None:
    elapsed_ns = last.at_ns - first.at_ns
    return 100 * (last.cpu_ns - first.cpu_ns) / elapsed_ns if elapsed_ns > 0 else None


def _spans(readings: ResourceSeries) -> tuple[list[Reading], list[Reading]]:
    """Firsts and lasts of consecutive spans, each just long enough."""
    edges = list(readings[:1])
    for reading in readings[1:]:
        if reading.at_ns - edges[-1].at_ns >= LEAST_SPAN_NS:
            edges.append(reading)
    return edges[:-1], edges[1:]
