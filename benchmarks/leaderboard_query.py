"""How long a leaderboard takes over ten thousand records."""

import asyncio
import random
import time
from collections.abc import Iterable, Iterator

import psutil
from support.records import NOON, record
from support.running_stack import RunningStack

from benchmarks.figure import Figure, percentile
from benchmarks.stack import fresh_stack
from leader.perfdb.entities import LeaderboardEntry, StoredRecord, Task
from leader.perfdb.mongo import connect
from shared.measure.metrics import metrics_of

RECORDS = 10_000
KEYS = 200
QUERIES = 60
TARGET_MS = 300
BIG_KEY = "one-large-group"


def leaderboard_query() -> Iterable[Figure]:
    """p95 over the API: every group, one group of 5,000 records, and a filter, in turn."""
    with fresh_stack() as stack:
        yield from _queries(stack)


def _queries(stack: RunningStack) -> Iterable[Figure]:
    asyncio.run(_fill(_database_url(stack)))
    paths = (
        "/api/v1/leaderboard?metric=p99_ms",
        f"/api/v1/leaderboard?metric=throughput_rps&key={BIG_KEY}",
        "/api/v1/leaderboard?metric=p50_ms&platform=onnxruntime&team=team-3",
    )
    latencies_ms = [_timed_ms(stack, paths[number % len(paths)]) for number in range(QUERIES)]
    each = ", ".join(f"{percentile(latencies_ms[start :: len(paths)], 0.5):.0f}" for start in range(len(paths)))
    yield Figure(
        name=f"leaderboard p95, {RECORDS:,} records",
        measured=percentile(latencies_ms, 0.95),
        unit="ms",
        high=TARGET_MS,
        detail=f"p50 of all groups, one group, filtered: {each} ms",
    )


def _timed_ms(stack: RunningStack, path: str) -> float:
    began_ns = time.perf_counter_ns()
    board = stack.get(path)
    elapsed_ms = (time.perf_counter_ns() - began_ns) / 1e6
    assert board["groups"], path  # noqa: S101 - an empty answer would flatter the figure
    return elapsed_ms


def _database_url(stack: RunningStack) -> str:
    """The embedded database's address, from the leader's own environment."""
    for child in psutil.Process(stack.supervisor.pid).children(recursive=True):
        if "INFERBENCH_MONGO_URL" in child.environ():
            return child.environ()["INFERBENCH_MONGO_URL"]
    raise LookupError("the stack has no leader")


async def _fill(url: str) -> None:
    database, _ = connect(url)
    for stored in _records():
        await database.records.put(stored)
    await database.close()


def _records() -> Iterator[StoredRecord]:
    """Half of them in one group, half spread over 200; figures drawn at random around the hand-made record's."""
    draw = random.Random(1)  # noqa: S311 - sample data
    template = record()
    numbers = metrics_of(template)
    for index in range(RECORDS):
        key = BIG_KEY if index % 2 else f"group-{index // 2 % KEYS:03d}"
        metrics = {name: value and value * draw.uniform(0.5, 1.5) for name, value in numbers.items()}
        run_id = f"j-{index:026d}.0000"
        entry = LeaderboardEntry(
            run_id=run_id,
            job_id=run_id[:-5],
            comparability_key=key,
            name=f"job-{index}",
            team=f"team-{index % 7}",
            model="resnet50",
            follower="node-1",
            hardware="a CPU",
            platform="onnxruntime",
            configuration={"threads": index % 8 + 1},
            metrics=metrics,
            verdict="valid",
            created_at=NOON,
        )
        task = Task(comparability_key=key, facts={"model": "resnet50"}, record_count=1, last_at=NOON)
        kept = template.model_copy(update={"run_id": run_id, "metrics": metrics, "comparability_key": key})
        yield StoredRecord(record=kept, entry=entry, task=task)
