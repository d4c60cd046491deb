"""Readings to summaries, by hand: processes, host, devices."""

from typing import Any

import pytest

from shared.measure.manifest import DeviceReading, HostReading, ProcessReading
from shared.measure.resources import summarize_devices, summarize_host, summarize_processes

SECOND = 1_000_000_000
LONG_AGO, FAR_OFF = 0, 1_000 * SECOND


def reading(at_s: float, cpu_s: float, rss: int = 100, **held: Any) -> ProcessReading:
    """A process reading in seconds."""
    return ProcessReading(at_ns=round(at_s * SECOND), cpu_ns=round(cpu_s * SECOND), rss_bytes=rss, **held)


def host(at_s: float, foreign_s: float = 0, steal_s: float = 0, throttled_s: float | None = None) -> HostReading:
    """A host reading in seconds."""
    throttled_ns = None if throttled_s is None else round(throttled_s * SECOND)
    return HostReading(
        at_ns=round(at_s * SECOND),
        foreign_ns=round(foreign_s * SECOND),
        steal_ns=round(steal_s * SECOND),
        throttled_ns=throttled_ns,
    )


def device(at_s: float, index: int = 0, **said: Any) -> DeviceReading:
    """A device reading in seconds, of which the driver tells only what is given."""
    nothing: dict[str, Any] = dict.fromkeys(("busy_pct", "memory_bytes", "power_w", "energy_mj"))
    return DeviceReading(at_ns=round(at_s * SECOND), index=index, **{**nothing, **said})


def test_mean_and_maximum_over_the_whole_time() -> None:
    """Half a core for a second, then two cores for a second."""
    series = [reading(10, 0, 5), reading(11, 0.5, 9), reading(12, 2.5, 7)]
    summary = summarize_processes(series, LONG_AGO, FAR_OFF)
    assert summary.cpu_mean_pct == pytest.approx(125)
    assert summary.cpu_max_pct == pytest.approx(200)
    assert summary.rss_max_bytes == 9
    assert summary.samples == 3


def test_only_readings_inside_the_window_count() -> None:
    """What was used before and after does not show, nor the memory held then."""
    series = [reading(0, 0, 999), reading(1, 1), reading(2, 1.1), reading(3, 1.2), reading(4, 9, 999)]
    summary = summarize_processes(series, 1 * SECOND, 4 * SECOND)
    assert summary.cpu_mean_pct == pytest.approx(10)
    assert summary.rss_max_bytes == 100
    assert summary.samples == 3


def test_short_spans_do_not_make_a_maximum_of_rounding() -> None:
    """One tick more in one of many short spans: the maximum stays near the mean."""
    series = [reading(0.1 * i, 0.01 * i + (0.01 if i > 7 else 0)) for i in range(21)]
    assert summarize_processes(series, LONG_AGO, FAR_OFF).cpu_max_pct == pytest.approx(12)


def test_the_maximum_is_never_below_the_mean() -> None:
    """The end of a window that is no whole span may be its busiest part."""
    summary = summarize_processes([reading(0, 0), reading(0.6, 0.1), reading(0.9, 0.4)], LONG_AGO, FAR_OFF)
    assert summary.cpu_max_pct == summary.cpu_mean_pct == pytest.approx(100 * 0.4 / 0.9)


def test_a_window_shorter_than_a_span_has_its_mean_as_maximum() -> None:
    """There is no longer span to look at."""
    summary = summarize_processes([reading(0, 0), reading(0.2, 0.1)], LONG_AGO, FAR_OFF)
    assert summary.cpu_mean_pct == summary.cpu_max_pct == pytest.approx(50)


@pytest.mark.parametrize("series", [[], [reading(1, 1)]])
def test_too_few_readings_are_no_number(series: list[ProcessReading]) -> None:
    """Never zero."""
    summary = summarize_processes(series, LONG_AGO, FAR_OFF)
    assert summary.cpu_mean_pct is None
    assert summary.cpu_max_pct is None
    assert summary.context_switches_per_s is None
    assert summary.samples == len(series)


def test_switches_are_a_rate_and_bytes_a_sum_over_the_window() -> None:
    """300 switches in two seconds; what was read before the window does not count."""
    series = [
        reading(0, 0, context_switches=0, read_bytes=0, written_bytes=0, threads=9),
        reading(1, 0, context_switches=100, read_bytes=5_000, written_bytes=10, threads=3),
        reading(2, 0, context_switches=150, read_bytes=5_000, written_bytes=30, threads=5),
        reading(3, 0, context_switches=400, read_bytes=5_500, written_bytes=40, threads=4),
    ]
    summary = summarize_processes(series, SECOND, FAR_OFF)
    assert summary.context_switches_per_s == pytest.approx(150)
    assert summary.read_bytes == 500
    assert summary.written_bytes == 30
    assert summary.threads_max == 5


def test_what_a_reading_does_not_know_is_not_known_of_the_window() -> None:
    """A kernel without I/O accounting gives no zero bytes."""
    summary = summarize_processes([reading(0, 0), reading(1, 1)], LONG_AGO, FAR_OFF)
    assert summary.read_bytes is summary.written_bytes is summary.threads_max is None
    assert summary.context_switches_per_s is None


def test_shares_are_over_all_the_cores_time() -> None:
    """One of two cores for half of the time, 1 % stolen, 2 % throttled, 0.1 % for measuring."""
    use = summarize_host([host(0, 0, 0, 0), host(10, 5, 0.2, 0.4)], 0, 11 * SECOND, round(0.022 * SECOND), cores=2)
    assert use.foreign_share == pytest.approx(0.25)
    assert use.steal_share == pytest.approx(0.01)
    assert use.throttled_share == pytest.approx(0.02)
    assert use.collector_share == pytest.approx(0.001)


def test_a_share_is_never_negative_and_never_above_one() -> None:
    """Ticks of the cores and of the processes are rounded apart."""
    assert summarize_host([host(0), host(1, -0.02)], 0, FAR_OFF, None, 1).foreign_share == 0
    assert summarize_host([host(0), host(1, 1.02)], 0, FAR_OFF, None, 1).foreign_share == 1


@pytest.mark.parametrize("series", [[], [host(1)], [host(1), host(1.19, 0.1)]])
def test_a_host_seen_too_shortly_is_not_judged(series: list[HostReading]) -> None:
    """Below 20 ticks a share is rounding."""
    use = summarize_host(series, 0, FAR_OFF, None, 2)
    assert use.foreign_share is use.steal_share is use.throttled_share is use.collector_share is None


def test_a_host_that_does_not_tell_throttling_has_no_share_of_it() -> None:
    """While the others are there."""
    use = summarize_host([host(0), host(1)], 0, FAR_OFF, 0, 2)
    assert use.throttled_share is None
    assert use.foreign_share == 0
    assert use.collector_share == 0


def test_devices_are_summarised_apart() -> None:
    """Means of what each said, the most memory, and the counter's difference over ten seconds."""
    readings = [
        device(0, 1, busy_pct=10, memory_bytes=5, power_w=100, energy_mj=1_000),
        device(0, 0, busy_pct=100),
        device(10, 1, busy_pct=30, memory_bytes=3, power_w=200, energy_mj=1_501_000),
        device(10, 0, busy_pct=50),
    ]
    first, second = summarize_devices(readings, LONG_AGO, FAR_OFF)
    assert (first.index, first.busy_mean_pct, first.samples) == (0, 75, 2)
    assert first.memory_max_bytes is first.power_mean_w is first.energy_j is None
    assert (second.index, second.busy_mean_pct, second.memory_max_bytes) == (1, 20, 5)
    assert second.power_mean_w == pytest.approx(150)
    assert second.energy_j == pytest.approx(1_500)


@pytest.mark.parametrize(
    ("steps", "gap_s", "resolved"),
    [(99, 0.05, False), (100, 0.05, True), (10, 0.9, False), (10, 1.0, True)],
    ids=["99 steps in 5 s", "100 steps in 5 s", "10 steps in 9 s", "10 steps in 10 s"],
)
def test_energy_needs_ten_seconds_or_a_hundred_steps(steps: int, gap_s: float, resolved: bool) -> None:
    """Otherwise one step of the counter more or less is more than a per cent or so."""
    readings = [device(i * gap_s, energy_mj=i * 1_000) for i in range(steps + 1)]
    (use,) = summarize_devices(readings, LONG_AGO, FAR_OFF)
    assert use.energy_j == (pytest.approx(steps) if resolved else None)


@pytest.mark.parametrize("last_mj", [1_000, 900, None], ids=["stands still", "goes back", "is gone"])
def test_a_counter_that_tells_nothing_is_no_energy(last_mj: int | None) -> None:
    """A device that is on uses some: a counter without growth is not zero joules."""
    readings = [device(0, energy_mj=1_000), device(20, energy_mj=last_mj)]
    assert summarize_devices(readings, LONG_AGO, FAR_OFF)[0].energy_j is None


def test_no_device_is_no_summary() -> None:
    """Nor one that was seen outside the window only."""
    assert summarize_devices([], LONG_AGO, FAR_OFF) == ()
    assert summarize_devices([device(5)], 0, SECOND) == ()
