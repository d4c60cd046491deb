"""The collectors' contract: one suite that each of them passes, on this machine as it is."""

import os
import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest

from follower.collect.devices import DeviceCollector
from follower.collect.host import HostCollector
from follower.collect.processes import ProcessCollector
from follower.collect.protocol import Collector

Made = Callable[[], Collector[Any]]

COLLECTORS: dict[str, Made] = {
    "processes": lambda: ProcessCollector("server", [os.getpid()]),
    "processes that are gone": lambda: ProcessCollector("server", [2**22 + 1]),
    "host": lambda: HostCollector(os.sched_getaffinity(0), [os.getpid()], [os.getppid()]),
    "host without such cores": lambda: HostCollector({2**20}, [os.getpid()]),
    "devices": lambda: DeviceCollector([0]),
    "no devices": lambda: DeviceCollector([]),
}
every_collector = pytest.mark.parametrize("made", COLLECTORS.values(), ids=COLLECTORS)


def run(collector: Collector[Any], samples: int) -> None:
    """Start, sample, stop."""
    collector.start()
    for _ in range(samples):
        collector.sample()
    collector.stop()


@every_collector
def test_there_are_readings_or_a_reason(made: Made) -> None:
    """One of the two at least, and never neither."""
    collector = made()
    run(collector, 3)
    assert collector.readings or collector.unavailable
    assert all(collector.unavailable.values())


@every_collector
def test_readings_are_stamped_on_the_monotonic_clock(made: Made) -> None:
    """Inside the time in which they were taken, and ascending."""
    collector = made()
    began_ns = time.monotonic_ns()
    run(collector, 3)
    stamps = [reading.at_ns for reading in collector.readings]
    assert all(before <= after for before, after in pairwise(stamps))
    assert all(began_ns <= at_ns <= time.monotonic_ns() for at_ns in stamps)


@every_collector
def test_each_round_adds_the_same_number_of_readings(made: Made) -> None:
    """Start and stop are rounds, too; stopping twice adds none."""
    collector = made()
    run(collector, 3)
    taken = len(collector.readings)
    collector.stop()
    assert len(collector.readings) == taken
    assert taken % 5 == 0


@every_collector
def test_what_it_costs_is_counted_and_is_at_most_what_the_thread_spent(made: Made) -> None:
    """The thread's own CPU clock is the witness."""
    collector = made()
    began_ns = time.thread_time_ns()
    run(collector, 20)
    assert 0 < collector.cpu_ns <= time.thread_time_ns() - began_ns


@every_collector
def test_a_sample_costs_a_few_milliseconds_at_most(made: Made) -> None:
    """The mean of twenty, in CPU time, which other work on the machine does not change much."""
    collector = made()
    collector.start()
    before_ns = collector.cpu_ns
    for _ in range(20):
        collector.sample()
    assert (collector.cpu_ns - before_ns) / 20 < 5_000_000
    collector.stop()


@every_collector
def test_what_was_read_cannot_be_changed_from_outside(made: Made) -> None:
    """Readings and reasons are handed out as they are at that moment."""
    collector = made()
    collector.start()
    before, reasons = collector.readings, collector.unavailable
    collector.stop()
    assert len(collector.readings) >= len(before)
    assert reasons is not collector.unavailable
