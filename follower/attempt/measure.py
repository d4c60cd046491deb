"""The measured part of an attempt: load on, collectors read, service watched; everything else holds still."""

import os
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, fields
from typing import Any, Final

from follower.attempt.live import LiveView, line_of
from follower.attempt.story import Story
from follower.collect.cgroup import server_collector
from follower.collect.devices import DeviceCollector
from follower.collect.host import HostCollector
from follower.collect.processes import ProcessCollector
from follower.collect.protocol import Collector
from follower.load.protocol import LiveRows
from follower.serve.protocol import Service
from shared.errors import AttemptFailed
from shared.measure.manifest import DeviceReading, HostReading, ProcessReading
from shared.measure.server_work import CounterReading
from shared.workload.plan import Plan

MOST_TOLD: Final = 120
"""A long run tells of itself less often than once a second: each event costs the agent and the leader a little work."""
_TOLD_EVERY_NS: Final = 1_000_000_000

SHORTEST_GAP_NS: Final = 200_000_000
LONGEST_GAP_NS: Final = 500_000_000
READINGS_WANTED: Final = 50
MOST_READINGS: Final = 1_000
"""Readings of one series in a run: they stand in its manifest, some 100 bytes each."""


def reading_gap_ns(duration_ns: int) -> int:
    """Between two readings: 200 to 500 ms, or longer where a run would leave more than ``MOST_READINGS``."""
    return max(SHORTEST_GAP_NS, min(LONGEST_GAP_NS, duration_ns // READINGS_WANTED), duration_ns // MOST_READINGS)


@dataclass(frozen=True)
class Readings:
    """What the collectors of one run have found."""

    server: Sequence[ProcessReading] = ()
    client: Sequence[ProcessReading] = ()
    host: Sequence[HostReading] = ()
    devices: Sequence[DeviceReading] = ()
    unavailable: Mapping[str, str] = field(default_factory=dict)
    counters: Sequence[CounterReading] = ()  # the server's own, at both edges of the window
    cpu_ns: int | None = None  # spent inside the window on reading and on the live view


@dataclass
class Measuring:
    """What happens beside the sender, a few times a second, in the attempt's own process on the client's cores."""

    plan: Plan
    service: Service
    story: Story
    cores: Sequence[int]  # the slot's
    gpus: Sequence[int] = ()
    _collectors: dict[str, Collector[Any]] = field(default_factory=dict)
    _view: LiveView | None = None
    _rows: LiveRows | None = None
    _origin_ns: int = 0
    _read_at_ns: int = 0  # when the next reading is due
    _tell_at_ns: int = 0
    _spent_before_ns: int | None = None  # by the collectors, before the window
    _live_cpu_ns: int = 0
    _counters: list[CounterReading] = field(default_factory=list)

    def on_start(self, origin_ns: int, sender_pids: Sequence[int], rows: LiveRows) -> None:
        """The first request is about to be due."""
        self._origin_ns = origin_ns
        self._view, self._rows = LiveView(plan=self.plan, origin_ns=origin_ns), rows
        service_pids = self.service.pids()
        self._collectors = {
            "server": server_collector(service_pids),
            "client": ProcessCollector("client", sender_pids),
            "host": HostCollector(self.cores, [os.getpid(), *service_pids, *sender_pids], [os.getppid()]),
            "devices": DeviceCollector(self.gpus),
        }
        for collector in self._collectors.values():
            collector.start()
        if self.plan.warmup_ns:
            self.story.tell("warming-up", f"load for {self.plan.warmup_ns / 1e9:g} s before the window")

    def keep_going(self) -> None:
        """Raises AttemptFailed once the service is gone, so that nobody waits for what cannot come."""
        self.service.check()
        now_ns = time.monotonic_ns()
        into_ns = now_ns - self._origin_ns - self.plan.warmup_ns
        if into_ns >= self.plan.duration_ns:
            self._count_once_more()
        if not self._collectors or not 0 <= into_ns < self.plan.duration_ns:
            return
        if self._spent_before_ns is None:
            self._spent_before_ns = self._spent_ns()
            self._count()
        if now_ns >= self._read_at_ns:
            self._read_at_ns = now_ns + reading_gap_ns(self.plan.duration_ns) - SHORTEST_GAP_NS // 2
            for collector in self._collectors.values():
                collector.sample()
        if now_ns >= self._tell_at_ns:
            self._tell_at_ns = now_ns + max(_TOLD_EVERY_NS, self.plan.duration_ns // MOST_TOLD)
            self._tell(now_ns)

    def finish(self) -> Readings:
        """Stops the collectors; everything that they read, also where there was no load to speak of."""
        with suppress(AttemptFailed):  # a service that is gone counts nothing, and whoever asks next is told
            self._count_once_more()
        spent_ns = None if self._spent_before_ns is None else self._spent_ns() - self._spent_before_ns
        for collector in self._collectors.values():
            collector.stop()
        found = {name: collector.readings for name, collector in self._collectors.items()}
        reasons = {what: why for collector in self._collectors.values() for what, why in collector.unavailable.items()}
        return Readings(
            **found,
            unavailable=reasons,
            counters=tuple(self._counters),
            cpu_ns=None if spent_ns is None else spent_ns + self._live_cpu_ns,
        )

    def _count_once_more(self) -> None:
        """At the far edge of the window, once."""
        if self._origin_ns and len(self._counters) == 1:
            self._count()

    def _count(self) -> None:
        found = self.service.statistics()
        if found is None:
            return
        counts = {each.name: getattr(found, each.name) for each in fields(found) if each.name != "batches"}
        batches = {str(size): count for size, count in found.batches.items()}
        self._counters.append(CounterReading(at_ns=time.monotonic_ns(), **counts, batches=batches))

    def _spent_ns(self) -> int:
        return sum(collector.cpu_ns for collector in self._collectors.values())

    def _tell(self, now_ns: int) -> None:
        if self._view is None or self._rows is None:
            return
        began_ns = time.thread_time_ns()
        self._view.take(self._rows.take())
        figures = self._view.figures(now_ns)
        self.story.tell("measuring", line_of(figures), **figures)
        self._live_cpu_ns += time.thread_time_ns() - began_ns
