"""From raw readings of processes, host and devices to their use inside a window. Pure.

A share or a mean is over the span between the first and the last reading inside the window [start_ns, end_ns).
``None`` means that the readings do not tell; it never stands for zero.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Final, Protocol, TypeVar

from shared.measure.manifest import DeviceReading, HostReading, ProcessReading
from shared.measure.record import DeviceUse, HostUse, Resources

LEAST_SPAN_NS: Final = 500_000_000
"""The kernel counts a process's CPU time in ticks of 10 ms: over half a second that is 2 % of a core, and the
maximum over shorter spans would be a maximum of rounding."""

LEAST_HOST_SPAN_NS: Final = 200_000_000
"""Shortest span for a share of the cores' time: 20 ticks of 10 ms."""

LEAST_ENERGY_SPAN_NS: Final = 10_000_000_000
LEAST_ENERGY_STEPS: Final = 100
"""An energy counter advances in steps, some tens of milliseconds to seconds apart. Its difference is used over at least
10 s, or over at least 100 seen steps: then one step more or less is about 1 %."""


class _Stamped(Protocol):
    @property
    def at_ns(self) -> int: ...


Reading = TypeVar("Reading", bound=_Stamped)
Value = TypeVar("Value")


def summarize_processes(readings: Sequence[ProcessReading], start_ns: int, end_ns: int) -> Resources:
    """A process tree's use. CPU is None with fewer than two readings inside the window.

    The maximum of CPU is over spans of at least ``LEAST_SPAN_NS``, and over the whole.
    """
    inside = _inside(readings, start_ns, end_ns)
    mean = _cpu_pct(inside[0], inside[-1]) if inside else None
    spans = [share for share in (_cpu_pct(*span) for span in pairwise(_edges(inside))) if share is not None]
    switches, elapsed_ns = _growth([r.context_switches for r in inside]), _elapsed_ns(inside)
    return Resources(
        cpu_mean_pct=mean,
        cpu_max_pct=None if mean is None else max([mean, *spans]),
        rss_max_bytes=max((reading.rss_bytes for reading in inside), default=None),
        threads_max=max(_known(reading.threads for reading in inside), default=None),
        context_switches_per_s=switches * 1e9 / elapsed_ns if switches is not None and elapsed_ns else None,
        read_bytes=_growth([reading.read_bytes for reading in inside]),
        written_bytes=_growth([reading.written_bytes for reading in inside]),
        samples=len(inside),
    )


def summarize_host(
    readings: Sequence[HostReading], start_ns: int, end_ns: int, collector_cpu_ns: int | None, cores: int
) -> HostUse:
    """What others took of ``cores`` cores, as a share of their time; None below ``LEAST_HOST_SPAN_NS``.

    ``collector_cpu_ns`` is what measuring itself spent inside the window.
    """
    inside = _inside(readings, start_ns, end_ns)
    span_ns = _elapsed_ns(inside)
    time_ns = span_ns * cores if span_ns >= LEAST_HOST_SPAN_NS else 0
    window_ns = (end_ns - start_ns) * cores
    return HostUse(
        foreign_share=_share(_growth([reading.foreign_ns for reading in inside]), time_ns),
        steal_share=_share(_growth([reading.steal_ns for reading in inside]), time_ns),
        throttled_share=_share(_growth([reading.throttled_ns for reading in inside]), time_ns),
        collector_share=_share(collector_cpu_ns, window_ns),
    )


def summarize_devices(readings: Sequence[DeviceReading], start_ns: int, end_ns: int) -> tuple[DeviceUse, ...]:
    """Each accelerator's use, by index. Power and utilisation are means of what the driver said at each reading."""
    by_index: dict[int, list[DeviceReading]] = defaultdict(list)
    for reading in _inside(readings, start_ns, end_ns):
        by_index[reading.index].append(reading)
    return tuple(_device_use(index, by_index[index]) for index in sorted(by_index))


def _device_use(index: int, readings: Sequence[DeviceReading]) -> DeviceUse:
    return DeviceUse(
        index=index,
        busy_mean_pct=_mean(_known(reading.busy_pct for reading in readings)),
        memory_max_bytes=max(_known(reading.memory_bytes for reading in readings), default=None),
        power_mean_w=_mean(_known(reading.power_w for reading in readings)),
        energy_j=_energy_j(readings),
        samples=len(readings),
    )


def _energy_j(readings: Sequence[DeviceReading]) -> float | None:
    """By the counter's difference; a counter that stood still, or went back, tells nothing."""
    counter = [reading.energy_mj for reading in readings]
    growth_mj = _growth(counter)
    steps = sum(first != last for first, last in pairwise(counter))
    if growth_mj is None or growth_mj <= 0:
        return None
    resolved = _elapsed_ns(readings) >= LEAST_ENERGY_SPAN_NS or steps >= LEAST_ENERGY_STEPS
    return growth_mj / 1000 if resolved else None


def _inside(readings: Sequence[Reading], start_ns: int, end_ns: int) -> list[Reading]:
    return [reading for reading in readings if start_ns <= reading.at_ns < end_ns]


def _elapsed_ns(readings: Sequence[_Stamped]) -> int:
    return readings[-1].at_ns - readings[0].at_ns if readings else 0


def _growth(counter: Sequence[int | None]) -> int | None:
    """Last less first; None with fewer than two readings, or where either is not known."""
    first, last = (counter[0], counter[-1]) if len(counter) > 1 else (None, None)
    return None if first is None or last is None else last - first


def _share(part_ns: int | None, whole_ns: int) -> float | None:
    return None if part_ns is None or whole_ns <= 0 else min(1.0, max(0.0, part_ns / whole_ns))


def _known(values: Iterable[Value | None]) -> list[Value]:
    return [value for value in values if value is not None]


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _cpu_pct(first: ProcessReading, last: ProcessReading) -> float | None:
    elapsed_ns = last.at_ns - first.at_ns
    return 100 * (last.cpu_ns - first.cpu_ns) / elapsed_ns if elapsed_ns > 0 else None


def _edges(readings: Sequence[ProcessReading]) -> list[ProcessReading]:
    """Borders of consecutive spans, each just long enough."""
    edges = list(readings[:1])
    for reading in readings[1:]:
        if reading.at_ns - edges[-1].at_ns >= LEAST_SPAN_NS:
            edges.append(reading)
    return edges
