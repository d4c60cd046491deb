"""Records for tests of PerfDB and the leaderboard: complete, small, and many of them at once."""

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from pymongo import MongoClient

from leader.perfdb import documents, record_documents, schema
from leader.perfdb.entities import LeaderboardEntry, StoredRecord, Task
from shared.jobs import ids
from shared.measure.metrics import METRICS, metrics_of
from shared.measure.record import (
    PERCENTILES,
    STAGES,
    ColdStart,
    HostUse,
    LatencySummary,
    LoadFidelity,
    Percentile,
    Record,
    Resources,
    StageSummary,
    Verdict,
)

START = datetime(2026, 1, 1, tzinfo=UTC)
BATCH = 1000


def latency(p99_ms: float | None) -> LatencySummary:
    """A summary with one number everywhere."""
    percentile = Percentile(ms=p99_ms, low_ms=p99_ms, high_ms=p99_ms, certified=p99_ms is not None)
    return LatencySummary(
        n=100, n_effective=100.0, mean_ms=p99_ms, stddev_ms=p99_ms, min_ms=p99_ms, max_ms=p99_ms,
        percentiles=dict.fromkeys(PERCENTILES, percentile),
    )  # fmt: skip


def record(run_id: str = "j-00000000000000000000000001.0000", **changes: Any) -> Record:
    """A stable record; ``p99_ms`` sets its response latency, everything else is a field of Record."""
    p99_ms = changes.pop("p99_ms", 10.0)
    resources = Resources(cpu_mean_pct=50.0, cpu_max_pct=90.0, rss_max_bytes=2**27, samples=10)
    fields: dict[str, Any] = {
        "run_id": run_id,
        "job_id": ids.job_of(run_id),
        "attempt": 1,
        "follower": "f1",
        "slot": "cpu-0",
        "started_at": START,
        "finished_at": START + timedelta(seconds=30),
        "spec": {},
        "comparability_key": "k",
        "configuration_key": "c",
        "environment": {"kernel.sched_$x": {"a.b": 1}},
        "model_card": {},
        "cold_start": ColdStart(spawned_ms=1, port_open_ms=2, model_loaded_ms=3, ready_ms=4, first_inference_ms=5),
        "load": LoadFidelity(
            pattern="poisson", offered_rps=50, sent_rps=50, completed_rps=50, planned=100, sent=100, completed=100,
            pending=0, send_lateness_p50_ms=0.1, send_lateness_p99_ms=0.2, send_lateness_max_ms=0.3, max_in_flight=2,
            seed=1, plan_sha256="0" * 64,
        ),
        "response_latency": latency(p99_ms),
        "service_latency": latency(p99_ms),
        "wire_latency": None,
        "warmup_s": 2.0,
        "stages": {
            stage: StageSummary(n=100, mean_ms=1.0, p50_ms=1.0, p90_ms=1.0, p99_ms=1.0, share=0.1) for stage in STAGES
        },
        "throughput_rps": 50.0,
        "throughput_samples_per_s": 50.0,
        "errors": {},
        "error_rate": 0.0,
        "server": resources,
        "client": resources,
        "host": HostUse(foreign_share=None, steal_share=None, throttled_share=None, collector_share=None),
        "calibration": None,
        "goodput": None,
        "batch_size_mean": None,
        "quality": None,
        "slo": (),
        "verdict": Verdict(kind="stable"),
    }  # fmt: skip
    return Record(**{**fields, **changes})


def entry(run_id: str, *, key: str = "k", **changes: Any) -> LeaderboardEntry:
    """A leaderboard entry; ``metrics`` need not name them all."""
    fields: dict[str, Any] = {
        "run_id": run_id,
        "job_id": ids.job_of(run_id),
        "comparability_key": key,
        "name": "resnet50-batching",
        "team": "vision",
        "model": "resnet50",
        "follower": "f1",
        "hardware": "AMD EPYC (1 of 2)",
        "platform": "onnxruntime",
        "configuration": {"threads": 1, "batching": {"max_batch_size": 8}},
        "verdict": "stable",
        "created_at": START,
        **changes,
        "metrics": dict.fromkeys(METRICS) | changes.get("metrics", {}),
    }
    return LeaderboardEntry(**fields)


def stored(run_id: str, *, key: str = "k", p99_ms: float | None = 10.0, **changes: Any) -> StoredRecord:
    """A record with its entry and task, as the recorder would derive them."""
    measured = record(run_id, comparability_key=key, p99_ms=p99_ms)
    at = changes.pop("created_at", START)
    derived = entry(run_id, key=key, metrics=metrics_of(measured), created_at=at, **changes)
    task = Task(comparability_key=key, facts={"model": {"name": "m.$x"}}, record_count=1, last_at=at)
    return StoredRecord(record=measured, entry=derived, task=task)


def fill_leaderboard(url: str, *, records: int, groups: int, seed: int = 1) -> None:
    """Put that many entries, spread evenly over the groups, into a prepared database, in bulk."""
    draw = random.Random(seed)  # noqa: S311 - numbers for a table, no secrets
    client: MongoClient[dict[str, Any]] = MongoClient(url, w="majority")
    with client:
        database = client.get_default_database()
        for start in range(0, records, BATCH):
            batch = [_drawn(draw, index, groups) for index in range(start, min(records, start + BATCH))]
            database[schema.LEADERBOARD].insert_many([record_documents.entry_to_document(one) for one in batch])
        database[schema.TASKS].insert_many(
            [
                {
                    "_id": f"{group:064x}",
                    "facts": documents.to_json({"model": {"name": "resnet50"}, "group": group}),
                    "record_count": len(range(group, records, groups)),
                    "last_at_us": documents.to_us(START + timedelta(seconds=group)),
                }
                for group in range(groups)
            ]
        )


def _drawn(draw: random.Random, index: int, groups: int) -> LeaderboardEntry:
    made = entry(
        f"j-{index:026d}.0000",
        key=f"{index % groups:064x}",
        team=f"team-{index % 7}",
        metrics={name: draw.uniform(1, 1000) for name in METRICS},
    )
    return replace(made, metrics={**made.metrics, "quality": None}) if index % 5 == 0 else made
