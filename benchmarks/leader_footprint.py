"""What the leader costs while nothing happens."""

import time
from collections.abc import Iterable

import psutil
from support.running_stack import RunningStack

from benchmarks.figure import Figure
from benchmarks.stack import fresh_stack

SETTLE_S = 10


def idle_memory() -> Iterable[Figure]:
    """Resident memory and CPU of the leader's process, idle, in the embedded stack."""
    with fresh_stack() as stack:
        leader = _leader(stack)
        leader.cpu_percent()
        time.sleep(SETTLE_S)
        yield Figure(
            name="leader resident memory, idle",
            measured=leader.memory_info().rss / 1e6,
            unit="MB",
            high=200,
            detail=f"CPU {leader.cpu_percent():.1f} % of a core",
        )


def _leader(stack: RunningStack) -> psutil.Process:
    children = psutil.Process(stack.supervisor.pid).children(recursive=True)
    return next(child for child in children if child.cmdline()[1:3] == ["-m", "leader"])
