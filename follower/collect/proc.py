"""The kernel's files under /proc, read and parsed (proc(5)); cheap enough to be read beside a running sender."""

import os
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

NS_PER_TICK: Final = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")
_MOST_BYTES: Final = 256 * 1024  # /proc/stat, whose lines for cores come first, is longer on large machines

ProcessKey = tuple[int, int]
"""Process id and start time: a number that is given anew is another process."""


@dataclass(frozen=True)
class ProcessStat:
    """/proc/PID/stat."""

    key: ProcessKey
    cpu_ns: int  # user and system, without children
    threads: int
    rss_bytes: int


@dataclass(frozen=True)
class CoreTimes:
    """The named cores' lines of /proc/stat, summed, since boot."""

    busy_ns: int  # user, nice, system, irq, softirq
    steal_ns: int


def parse_stat(text: str) -> ProcessStat:
    """Fields count from behind the name, which may hold blanks and brackets; ``fields[0]`` is proc(5)'s field 3.

    Raises:
        ValueError, IndexError: this is not the file's format.
    """
    pid = int(text.partition(" ")[0])
    fields = text.rpartition(")")[2].split()
    return ProcessStat(
        key=(pid, int(fields[19])),
        cpu_ns=(int(fields[11]) + int(fields[12])) * NS_PER_TICK,
        threads=int(fields[17]),
        rss_bytes=int(fields[21]) * PAGE_BYTES,
    )


def parse_core_times(text: str, cores: Collection[int]) -> CoreTimes:
    """Idle, iowait and guest time (which is inside user time already) do not count.

    Raises:
        ValueError: none of the cores has a line.
    """
    busy = steal = found = 0
    for line in text.splitlines():
        name, *fields = line.split()
        if not name.startswith("cpu"):
            break
        if name[3:].isdigit() and int(name[3:]) in cores:
            user, nice, system, _idle, _iowait, irq, softirq, stolen = map(int, fields[:8])
            busy += user + nice + system + irq + softirq
            steal += stolen
            found += 1
    if not found:
        raise ValueError(f"/proc/stat has no line for any of the cores {sorted(cores)}")
    return CoreTimes(busy * NS_PER_TICK, steal * NS_PER_TICK)


def field_of(text: str, name: str) -> int | None:
    """The number behind ``name:`` at the start of a line; None where there is none."""
    for line in text.splitlines():
        if line.startswith(name) and line[len(name) : len(name) + 1] == ":":
            return int(line[len(name) + 1 :].split()[0])
    return None


def read_tree(proc: Path, roots: Sequence[int]) -> dict[ProcessKey, ProcessStat]:
    """The roots and everything below them, each once; a process that is gone is not there."""
    found: dict[int, ProcessStat] = {}
    waiting = list(roots)
    while waiting:
        pid = waiting.pop()
        if pid in found:
            continue
        try:
            found[pid] = parse_stat(read_text(f"{proc}/{pid}/stat"))
        except OSError:
            continue
        waiting.extend(_children(proc, pid))
    return {stat.key: stat for stat in found.values()}


def read_text(path: str | Path) -> str:
    """A small file of the kernel's, at once; two thirds of the time of ``open``.

    Raises:
        OSError: it is not there, not ours to read, or its process has just ended.
    """
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(file, _MOST_BYTES).decode(errors="replace")
    finally:
        os.close(file)


def thread_dirs(proc: Path, pid: int) -> Iterator[str]:
    """Ids of the process's threads; none once it is gone."""
    try:
        yield from os.listdir(f"{proc}/{pid}/task")  # noqa: PTH208 - half the time of iterdir
    except OSError:
        return


def _children(proc: Path, pid: int) -> Iterator[int]:
    """Direct children, from the kernel's own list: finding them by their parents would read every process there is."""
    for thread in thread_dirs(proc, pid):
        try:
            yield from map(int, read_text(f"{proc}/{pid}/task/{thread}/children").split())
        except OSError:  # the thread has just ended
            continue
