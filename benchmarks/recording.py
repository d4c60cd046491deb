"""What it costs to write one request down, and to make figures of ten million."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable
from statistics import median
from typing import Final

from benchmarks.figure import Figure
from follower.load.exchange import Exchange
from follower.load.response import ResponseReader
from follower.load.rows import RowWriter
from follower.load.samples import SampleTable, new_table_file
from shared.measure.columns import COLUMNS
from shared.testing.behaviour import Behaviour
from shared.testing.http_messages import Answers

RECORDS: Final = 100_000
ROUNDS: Final = 9
NOW_NS: Final = 1_234_567_890_123
SAMPLES: Final = 10_000_000


def record_cost() -> Iterable[Figure]:
    """Mean time to turn an ended exchange into its row, median of nine rounds of 100,000; reading headers told apart.

    The row is complete; what the server reports in its headers is read by the protocol's codec, whose cost stands in
    the detail. Bias: the loop around it is counted in, and nothing else competes for the caches.
    """
    answered = _answered()
    costs = [(_row_us(None), _row_us(answered)) for _ in range(ROUNDS)]
    bare, read = (median(column) for column in zip(*costs, strict=True))
    yield Figure(
        name="one record in the hot path",
        measured=bare,
        unit="us",
        high=1.5,
        detail=f"{len(COLUMNS)} columns; {read:.2f} us with status and four reported values read from its head",
    )


def _row_us(codec: ResponseReader | None) -> float:
    exchange = Exchange(0, 0, NOW_NS, NOW_NS)
    file = new_table_file("benchmark")
    writer = RowWriter(SampleTable(file, RECORDS), 0)
    began_ns = time.perf_counter_ns()
    for number in range(RECORDS):
        exchange.row = number
        writer.write(exchange, NOW_NS, 0, codec)
    elapsed_ns = time.perf_counter_ns() - began_ns
    os.close(file)
    return elapsed_ns / RECORDS / 1e3


def _answered() -> ResponseReader:
    """What a connection's reader is after a golden server's answer."""
    names = ("inferbench-queue-ns", "inferbench-inference-ns", "inferbench-total-ns")
    answer = Answers(Behaviour()).infer(1, tuple((name, 1_234_567) for name in names))
    reader = ResponseReader(keep_body=False)
    reader.start(b"")
    if not reader.feed(memoryview(answer)):
        raise RuntimeError("the answer was not understood")
    return reader


def ten_million_summarised() -> Iterable[Figure]:
    """Time and memory of one whole latency summary over 10,000,000 samples, in a fresh process.

    Memory is the growth of the largest resident set from before the samples exist to after the summary: the samples
    themselves (80 MB) are in it. Bias: the raw file's other columns are not loaded, as one latency does not need them.
    """
    command = [sys.executable, "-m", "benchmarks.summarise_many", str(SAMPLES)]
    found = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    detail = f"p99 {found['p99_ms']:.3f} ms, effective n {found['n_effective']:,.0f}"
    yield Figure(name=f"{SAMPLES:,} samples summarised", measured=found["seconds"], unit="s", high=3, detail=detail)
    yield Figure(name=f"{SAMPLES:,} samples summarised: memory", measured=found["grown_mb"], unit="MB", high=400)
