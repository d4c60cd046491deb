"""``python -m benchmarks.summarise_many N``: summarises N log-normal latencies and prints what it cost, as JSON."""

import json
import sys
import time
from pathlib import Path

import numpy as np

from shared.measure.latency import summarize

_CHUNK = 100_000


def _peak_kb() -> int:
    """The largest resident set of this program so far. getrusage(2) would carry the parent's over."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM:")).split()[1])


def main(count: int) -> None:
    """Draws in chunks, so that making the samples leaves no peak of its own."""
    draw = np.random.default_rng(1)
    summarize(np.arange(1_000))  # imports and first uses
    before_kb = _peak_kb()
    samples_ns = np.empty(count, np.int64)
    for start in range(0, count, _CHUNK):
        piece = samples_ns[start : start + _CHUNK]
        piece[:] = draw.lognormal(15.0, 0.5, len(piece))
    began_ns = time.perf_counter_ns()
    summary = summarize(samples_ns, failed=np.zeros(count, np.bool_))
    seconds = (time.perf_counter_ns() - began_ns) / 1e9
    grown_mb = (_peak_kb() - before_kb) * 1024 / 1e6
    found = {"seconds": seconds, "grown_mb": grown_mb, "p99_ms": summary.ms("p99"), "n_effective": summary.n_effective}
    print(json.dumps(found))


if __name__ == "__main__":
    main(int(sys.argv[1]))
