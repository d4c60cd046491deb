"""What scheduling knows of a run, as fields of its document: beside ``leader.perfdb.documents``, by the same rules."""

import json
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Final

from leader.perfdb.entities import HeldLease, Run, Spent, WaitingRun
from shared.scheduling.backlog import SlotKey
from shared.scheduling.needs import Need, Needs
from shared.scheduling.policy import CLASSES
from shared.scheduling.setup_times import Served

Document = dict[str, Any]

WAITING_FIELDS: Final = (
    "job_id", "team", "priority", "predicted_s", "outlook", "needs", "bound_to", "created_at_us", "status",
)  # fmt: skip
LEASE_FIELDS: Final = ("status",)

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


def outlook_of(run: Run) -> str:
    """The fields that only runs of this version have, as JSON."""
    served = run.served
    return json.dumps(
        {
            "p90_s": run.predicted_p90_s,
            "served": [served.platform, served.model, served.family] if served else None,
            "deadline_us": _to_us(run.deadline_at) if run.deadline_at else None,
        },
        separators=(",", ":"),
        allow_nan=False,
    )


def rank_of(priority: str) -> int:
    """Of the class in the queue's index. Before there were urgent runs, high was 0, and it still is."""
    return CLASSES[priority] - CLASSES["high"]


@lru_cache(maxsize=4096)
def _read(outlook: str | None) -> Document:
    found = json.loads(outlook) if outlook else {}
    served, deadline_us = found.get("served"), found.get("deadline_us")
    return {
        "predicted_p90_s": found.get("p90_s"),
        "served": Served(*served) if served else None,
        "deadline_at": None if deadline_us is None else _EPOCH + deadline_us * _MICROSECOND,
    }


def outlook_fields(outlook: str | None) -> Document:
    """The fields of a Run or a WaitingRun; of an older run, without an outlook, each is unknown."""
    return dict(_read(outlook))


@lru_cache(maxsize=4096)
def _needs(text: str) -> Needs:
    return tuple(Need(*need) for need in json.loads(text))


def lease_from_document(document: Document) -> HeldLease:
    """From ``LEASE_FIELDS`` alone."""
    status = document["status"]
    expires_at = _EPOCH + status["lease"]["expires_at_us"] * _MICROSECOND
    return HeldLease(run_id=document["_id"], fence=status["fence"], expires_at=expires_at)


def waiting_from_document(document: Document) -> WaitingRun:
    """From ``WAITING_FIELDS`` alone."""
    status, bound_to = document["status"], document.get("bound_to")
    not_before_us = status.get("not_before_us")
    return WaitingRun(
        id=document["_id"],
        job_id=document["job_id"],
        team=document["team"],
        priority=document["priority"],
        predicted_s=float(document["predicted_s"]),
        needs=_needs(document["needs"]),
        fence=status["fence"],
        bound_to=SlotKey(*json.loads(bound_to)) if bound_to else None,
        not_before=None if not_before_us is None else _EPOCH + not_before_us * _MICROSECOND,
        avoid=tuple(status.get("avoid") or ()),  # absent before retries went elsewhere
        created_at=_EPOCH + document["created_at_us"] * _MICROSECOND,
        **_read(document.get("outlook")),
    )


_SPENT_PLAIN: Final = (
    "run_id", "team", "follower", "occupied_s", "last_s", "predicted_s", "predicted_p90_s", "setup_s", "collection_s",
)  # fmt: skip


def spent_to_document(spent: Spent) -> Document:
    """One for each run."""
    served = spent.served
    return {
        **{name: getattr(spent, name) for name in _SPENT_PLAIN},
        "_id": spent.run_id,
        "served": json.dumps([served.platform, served.model, served.family]),
        "submitted_at_us": _to_us(spent.submitted_at) if spent.submitted_at else None,
        "device": spent.device,
        "ended_at_us": _to_us(spent.ended_at),
    }


def spent_from_document(document: Document) -> Spent:
    """The inverse."""
    submitted_at_us = document.get("submitted_at_us")  # absent in older entries
    return Spent(
        **{name: document[name] for name in _SPENT_PLAIN},
        served=Served(*json.loads(document["served"])),
        submitted_at=None if submitted_at_us is None else _EPOCH + submitted_at_us * _MICROSECOND,
        device=document.get("device"),
        ended_at=_EPOCH + document["ended_at_us"] * _MICROSECOND,
    )


def _to_us(at: datetime) -> int:
    return (at - _EPOCH) // _MICROSECOND
