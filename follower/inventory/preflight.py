"""Is the host idle enough to measure on it? A pure verdict, and the two readings that it needs.

CPU time of the slot's cores between two readings, less what we ourselves used, is what others used. What others do
while the window is measured, ``follower.collect.host`` reads.
"""

import os
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")
SHORTEST_NS: Final = 200_000_000
"""Below this the kernel's ticks (10 ms) are too coarse for a share."""

Policy = Literal["mark", "refuse", "off"]


@dataclass(frozen=True, kw_only=True)
class CpuReading:
    """Ticks since boot: of the slot's cores, and of our own processes."""

    at_ns: int
    busy_ticks: int  # summed over the cores; user, nice, system, irq, softirq, steal
    own_ticks: int
    cores: int


@dataclass(frozen=True, kw_only=True)
class Preflight:
    """What the host's load means for the run."""

    busy_share: float | None  # of the slot's cores, by others; None when not looked at
    refused: bool = False
    reason: str | None = None  # for the attempt's story, or for the refusal


def busy_share(before: CpuReading, after: CpuReading) -> float:
    """Share of the cores' time that others used, 0 to 1."""
    elapsed_ticks = (after.at_ns - before.at_ns) / 1e9 * TICKS_PER_S * after.cores
    own = max(0, after.own_ticks - before.own_ticks)
    others = after.busy_ticks - before.busy_ticks - own
    return min(1.0, max(0.0, others / elapsed_ticks))


def judge(share: float, limit: float, policy: Policy) -> Preflight:
    """Idle enough: nothing to say. Too busy: a mark on the record, or a refusal."""
    if policy == "off" or share <= limit:
        return Preflight(busy_share=share)
    reason = f"host was {share:.0%} busy before the run"
    return Preflight(busy_share=share, refused=policy == "refuse", reason=reason)


def read_cpu_ticks(cores: Collection[int], own_pids: Iterable[int], proc: Path = Path("/proc")) -> CpuReading:
    """One reading; a process of ours that has ended counts nothing."""
    stat = (proc / "stat").read_text()
    return CpuReading(
        at_ns=time.monotonic_ns(),
        busy_ticks=busy_ticks(stat, cores),
        own_ticks=sum(_process_ticks(proc, pid) for pid in own_pids),
        cores=len(cores),
    )


def busy_ticks(stat: str, cores: Collection[int]) -> int:
    """Sum over the named cores in the text of /proc/stat, without idle, iowait and guest time."""
    total = 0
    for line in stat.splitlines():
        name, *fields = line.split()
        if name.startswith("cpu") and name[3:].isdigit() and int(name[3:]) in cores:
            user, nice, system, _idle, _iowait, *rest = map(int, fields)
            total += user + nice + system + sum(rest[:3])
    return total


def wait_until_long_enough(before: CpuReading, sleep: Callable[[float], None] = time.sleep) -> None:
    """Sleep until a second reading would be worth comparing with ``before``."""
    missing_ns = SHORTEST_NS - (time.monotonic_ns() - before.at_ns)
    if missing_ns > 0:
        sleep(missing_ns / 1e9)


def _process_ticks(proc: Path, pid: int) -> int:
    try:
        stat = (proc / str(pid) / "stat").read_text()
    except OSError:
        return 0
    after_name: Sequence[str] = stat.rpartition(")")[2].split()
    return sum(map(int, after_name[11:15]))  # utime, stime, cutime, cstime: fields 14 to 17 of proc(5)
