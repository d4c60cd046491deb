"""``python -m benchmarks [NAME...]``: measures the figures named, or all, and prints them with their targets."""

import os
import sys
import tempfile
from pathlib import Path

from support.running_stack import running_stack

from benchmarks.figure import Benchmark, Figure, table
from benchmarks.leader_footprint import idle_memory
from benchmarks.leaderboard_query import leaderboard_query
from benchmarks.run_overhead import run_overhead
from benchmarks.submit_latency import submit_latency

BENCHMARKS: dict[str, Benchmark] = {
    "leader-memory": idle_memory,
    "submit": submit_latency,
    "overhead": run_overhead,
    "leaderboard": leaderboard_query,
}


def main(names: list[str]) -> int:
    """Measures and prints; 1 if a target is missed."""
    figures: list[Figure] = []
    for name in names or BENCHMARKS:
        with tempfile.TemporaryDirectory() as folder:
            environment = dict(os.environ)  # noqa: TID251 - hands PATH and HOME on
            with running_stack(Path(folder) / "data", environment) as stack:
                figures += BENCHMARKS[name](stack)
    print(table(figures))
    return 0 if all(figure.is_met for figure in figures) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
