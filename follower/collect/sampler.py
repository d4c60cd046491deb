"""CPU time and resident memory of process trees, cheap enough to be read beside a running sender."""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import psutil

from follower.collect.series import Reading, ResourceSeries, summarize_resources
from shared.measure.record import Resources


class ProcessSampler:
    """A Collector of the trees below ``pids``.

    It has no thread: whoever measures calls ``sample`` two to five times a second. A process that ends keeps the
    CPU time it had at the last reading; one that is born is counted from its birth.
    """

    def __init__(self, pids: Sequence[int]) -> None:
        self._roots = tuple(pids)
        self._known: dict[int, psutil.Process] = {}
        self._cpu_s: dict[int, float] = {}
        self._spent_s = 0.0
        self._readings: list[Reading] = []

    @property
    def series(self) -> ResourceSeries:
        """All readings so far."""
        return tuple(self._readings)

    def start(self) -> None:
        """Takes the first reading."""
        self.sample()

    def sample(self) -> None:
        """Takes one reading. Processes that are gone are not there, and that is no error."""
        at_ns = time.monotonic_ns()
        rss_bytes = sum(self._read(pid) for pid in _tree(self._roots))
        self._readings.append(Reading(at_ns, round(self._spent_s * 1e9), rss_bytes))

    def stop(self) -> None:
        """Takes the last reading."""
        self.sample()

    def summary(self, start_ns: int | None = None, end_ns: int | None = None) -> Resources:
        """The use between two monotonic moments; of the whole time where none is given."""
        return summarize_resources(self._readings, start_ns, end_ns)

    def _read(self, pid: int) -> int:
        """Adds what the process has spent since the last reading; returns its resident bytes."""
        try:
            process = self._known.get(pid) or self._meet(pid)
            with process.oneshot():
                times = process.cpu_times()
                rss_bytes = int(process.memory_info().rss)
        except psutil.Error:
            self._known.pop(pid, None)
            return 0
        spent_s = times.user + times.system
        before_s = self._cpu_s.get(pid, 0.0 if self._readings else spent_s)
        self._cpu_s[pid] = spent_s
        self._spent_s += max(0.0, spent_s - before_s)
        return rss_bytes

    def _meet(self, pid: int) -> psutil.Process:
        process = self._known[pid] = psutil.Process(pid)
        return process


def _tree(roots: Sequence[int]) -> list[int]:
    """The roots and everything below them, each once."""
    seen: dict[int, None] = {}
    waiting = list(roots)
    while waiting:
        pid = waiting.pop()
        if pid not in seen:
            seen[pid] = None
            waiting.extend(_children(pid))
    return list(seen)


def _children(pid: int) -> Iterator[int]:
    """Direct children, from the kernel's own list: psutil would read every process of the machine for it."""
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            yield from map(int, path.read_text(encoding="ascii").split())
        except OSError:  # the thread has just ended
            continue
