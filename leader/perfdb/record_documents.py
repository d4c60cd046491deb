# ruff: noqa: D103 - each pair of functions is named by what it maps
"""Records, leaderboard entries and tasks as documents: beside ``leader.perfdb.documents``, by the same rules.

Scores are stored so that higher is better, whatever the metric: one descending index order is the ranking, with those
that have no number at its end.
"""

import json
from typing import Any, Final

from leader.perfdb.documents import from_us, to_json, to_us
from leader.perfdb.entities import LeaderboardEntry, ReuseKey, StoredRecord, Task
from leader.perfdb.older_records import read_record
from shared.measure.metrics import METRICS
from shared.measure.record import Record

Document = dict[str, Any]

_ENTRY_TEXTS: Final = ("run_id", "job_id", "name", "team", "model", "follower", "hardware", "platform", "verdict")


def entry_to_document(entry: LeaderboardEntry) -> Document:
    return {
        **{name: getattr(entry, name) for name in _ENTRY_TEXTS},
        "_id": entry.run_id,
        "seq": entry.run_id,
        "key": entry.comparability_key,
        "ranked": int(entry.verdict != "invalid"),
        "score": {name: _score(name, entry.metrics.get(name)) for name in METRICS},
        "configuration": to_json(entry.configuration),
        "created_at_us": to_us(entry.created_at),
        **({"point_key": entry.reuse_key.point, "seed": entry.reuse_key.seed} if entry.reuse_key else {}),
    }


def _score(metric: str, value: float | None) -> float | None:
    """Higher is better; its own inverse."""
    return value if value is None or METRICS[metric].higher_is_better else -value


def entry_from_document(document: Document) -> LeaderboardEntry:
    score, point = document["score"], document.get("point_key")
    return LeaderboardEntry(
        **{name: document[name] for name in _ENTRY_TEXTS},
        comparability_key=document["key"],
        metrics={name: _score(name, score.get(name)) for name in METRICS},
        configuration=json.loads(document["configuration"]),
        reuse_key=ReuseKey(point, document["seed"]) if point else None,
        created_at=from_us(document["created_at_us"]),
    )


def task_from_document(document: Document) -> Task:
    return Task(
        comparability_key=document["_id"],
        facts=json.loads(document["facts"]),
        record_count=document["record_count"],
        last_at=from_us(document["last_at_us"]),
    )


def record_to_document(stored: StoredRecord) -> Document:
    entry = stored.entry
    return {
        **{name: getattr(entry, name) for name in ("job_id", "model", "platform", "team")},
        "_id": entry.run_id,
        "seq": entry.run_id,
        "record": stored.record.model_dump_json(),
    }


def record_from_document(document: Document) -> Record:
    return read_record(document["record"])
