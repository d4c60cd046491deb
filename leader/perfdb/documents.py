# ruff: noqa: D103 - each pair of functions is named by what it maps
"""How values become documents and back. With its neighbours the only place that knows the fields.

Rules, each learnt from a server that this runs on:

* Dicts that users wrote are JSON strings: no key of theirs (dots, ``$``) is ever a key or an operator of a query.
* Times are integer microseconds since 1970 UTC: exact, and ordered the same way everywhere.
* Flags are 0 or 1. Documents hold no NaN and no infinity; a query never matches an array by one of its elements.
* ``seq`` repeats ``_id``, which not every server can hold in a compound index.
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Final

from pydantic import TypeAdapter

from leader.perfdb.entities import (
    Event,
    Evidence,
    Follower,
    Job,
    Origin,
    Run,
    Search,
    StoredArtifact,
    Token,
)
from leader.perfdb.older_records import read_result
from leader.perfdb.outlook import outlook_fields, outlook_of, rank_of
from model_repo.protocol import VersionedBlob
from shared.jobs.lifecycle import Lease, RunStatus
from shared.scheduling.needs import Need
from shared.wire.assignment import BlobPin, ModelPin
from shared.wire.identity import Registration

Document = dict[str, Any]

_EVENTS_PER_FENCE: Final = 2**20  # above TERMINAL_EVENT_N
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


def to_us(at: datetime) -> int:
    """Microseconds since 1970 UTC, exact."""
    return (at - _EPOCH) // _MICROSECOND


def from_us(at_us: int) -> datetime:
    return _EPOCH + timedelta(microseconds=at_us)


def to_json(value: object) -> str:
    """Compact JSON that has no NaN; the same value always gives the same string."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


_SEARCHES: Final = TypeAdapter(tuple[Search, ...])
_ORIGIN: Final = TypeAdapter(Origin)
_ORIGINS: Final = TypeAdapter(Mapping[int, Origin])

_JOB_PLAIN: Final = (
    "owner", "team", "name", "priority", "idempotency_key", "body_sha256", "run_count",
)  # fmt: skip


def job_to_document(job: Job) -> Document:
    return {
        **{name: getattr(job, name) for name in _JOB_PLAIN},
        "_id": job.id,
        "seq": job.id,
        "spec": to_json(job.spec),
        "models": to_json([pin.model_dump(mode="json") for pin in job.models]),
        "datasets": to_json([pin.model_dump(mode="json") for pin in job.datasets]),
        "steps": job.steps,
        **searching_part(job),
        **({"reused": _ORIGINS.dump_json(job.reused).decode()} if job.reused else {}),
        "complete": int(job.complete),
        "created_at_us": to_us(job.created_at),
    }


def searching_part(job: Job) -> Document:
    """The fields that a step of a search writes, beside the count of steps, all in one update."""
    return {
        "searches": _SEARCHES.dump_json(job.searches).decode(),
        "searching": int(job.searching),
        "run_count": job.run_count,
    }


def job_from_document(document: Document) -> Job:
    return Job(
        **{name: document[name] for name in _JOB_PLAIN},
        id=document["_id"],
        spec=json.loads(document["spec"]),
        models=tuple(ModelPin.model_validate(pin) for pin in json.loads(document["models"])),
        datasets=tuple(BlobPin.model_validate(pin) for pin in json.loads(document["datasets"])),
        searches=_SEARCHES.validate_json(document.get("searches", "[]")),  # absent before there were searches
        searching=bool(document.get("searching", 0)),
        steps=document.get("steps", 0),
        reused=_ORIGINS.validate_json(document.get("reused", "{}")),
        complete=bool(document["complete"]),
        created_at=from_us(document["created_at_us"]),
    )


_STATUS_TIMES: Final = ("not_before", "claimed_at")


def status_to_document(status: RunStatus) -> Document:
    document = status.model_dump(mode="json", exclude={"lease", *_STATUS_TIMES})
    document["lease"] = _lease_to_document(status.lease) if status.lease else None
    for name in _STATUS_TIMES:
        at = getattr(status, name)
        document[f"{name}_us"] = None if at is None else to_us(at)
    return document


def _lease_to_document(lease: Lease) -> Document:
    return {
        "follower": lease.follower,
        "incarnation": lease.incarnation,
        "slot": lease.slot,
        "expires_at_us": to_us(lease.expires_at),
    }


def status_from_document(document: Document) -> RunStatus:
    lease = document["lease"]
    if lease:
        lease = {**lease, "expires_at": from_us(lease["expires_at_us"])}
        del lease["expires_at_us"]
    # absent in runs of older versions, which counted failures without their causes: they start anew
    at_us = {name: document.get(f"{name}_us") for name in _STATUS_TIMES}
    times = {name: None if found is None else from_us(found) for name, found in at_us.items()}
    return RunStatus.model_validate({**document, "lease": lease, **times})


_RUN_PLAIN: Final = (
    "job_id", "name", "team", "owner", "priority", "index", "repeat", "comparability_key",
)  # fmt: skip


def run_to_document(run: Run) -> Document:
    return {
        **{name: getattr(run, name) for name in _RUN_PLAIN},
        "_id": run.id,
        "seq": run.id,
        "rank": rank_of(run.priority),
        "point": to_json(run.point),
        "spec": to_json(run.spec),
        "needs": to_json(run.needs),
        "predicted_s": run.predicted_s,
        "outlook": outlook_of(run),
        "model": _model_pin_to_document(run.model) if run.model else None,
        "dataset": run.dataset.model_dump(mode="json") if run.dataset else None,
        "trace": run.trace.model_dump(mode="json") if run.trace else None,
        **({"reused_from": _ORIGIN.dump_json(run.reused_from).decode()} if run.reused_from else {}),
        "created_at_us": to_us(run.created_at),
        **moving_part(run),
    }


def standing(run: Run) -> Document:
    """What must still be so for a move of ``run`` to happen.

    State and fence, and the end of the lease: a renewal changes neither, and must not be lost to a reaper that
    looked before it.
    """
    where = {"_id": run.id, "status.state": run.status.state.value, "status.fence": run.status.fence}
    if run.status.lease:
        where["status.lease.expires_at_us"] = to_us(run.status.lease.expires_at)
    return where


def moving_part(run: Run) -> Document:
    """The fields that a move writes, all in one update."""
    return {
        "status": status_to_document(run.status),
        "follower": run.follower,
        "history": to_json([_history_entry(event) for event in run.history]),
        "recorded": int(run.recorded),
        "updated_at_us": to_us(run.updated_at),
    }


def _history_entry(event: Event) -> Document:
    entry = {"fence": event.fence, "n": event.n, "at_us": to_us(event.at), "kind": event.kind}
    return {**entry, "message": event.message, "data": event.data}


def _model_pin_to_document(pin: ModelPin) -> Document:
    return {**pin.model_dump(mode="json", exclude={"card"}), "card": to_json(pin.card)}


def _model_pin_from_document(document: Document) -> ModelPin:
    return ModelPin.model_validate({**document, "card": json.loads(document["card"])})


def run_from_document(document: Document) -> Run:
    model, dataset = document["model"], document["dataset"]
    trace, origin = document.get("trace"), document.get("reused_from")  # absent before there were any
    return Run(
        **{name: document[name] for name in _RUN_PLAIN},
        id=document["_id"],
        point=json.loads(document["point"]),
        spec=json.loads(document["spec"]),
        needs=tuple(Need(*need) for need in json.loads(document["needs"])),
        predicted_s=float(document["predicted_s"]),
        **outlook_fields(document.get("outlook")),
        model=_model_pin_from_document(model) if model else None,
        dataset=BlobPin.model_validate(dataset) if dataset else None,
        trace=BlobPin.model_validate(trace) if trace else None,
        status=status_from_document(document["status"]),
        follower=document["follower"],
        history=tuple(_history_event(document["_id"], entry) for entry in json.loads(document["history"])),
        recorded=bool(document["recorded"]),
        no_record=document.get("no_record"),
        reused_from=_ORIGIN.validate_json(origin) if origin else None,
        created_at=from_us(document["created_at_us"]),
        updated_at=from_us(document["updated_at_us"]),
    )


def _history_event(run_id: str, entry: Document) -> Event:
    return Event(
        run_id=run_id,
        fence=entry["fence"],
        n=entry["n"],
        at=from_us(entry["at_us"]),
        kind=entry["kind"],
        message=entry["message"],
        data=entry["data"],
    )


def position_number(position: tuple[int, int]) -> int:
    """(fence, n) as one number in the same order."""
    fence, n = position
    return fence * _EVENTS_PER_FENCE + n


def event_to_document(event: Event) -> Document:
    entry = _history_entry(event)
    return {
        **entry,
        "_id": f"{event.run_id}:{event.fence}:{event.n}",
        "run_id": event.run_id,
        "position": position_number(event.position),
        "data": to_json(event.data),
    }


def event_from_document(document: Document) -> Event:
    return _history_event(document["run_id"], {**document, "data": json.loads(document["data"])})


_EVIDENCE_PLAIN: Final = ("run_id", "attempt", "fence", "follower", "sha256")


def evidence_to_document(evidence: Evidence) -> Document:
    return {
        **{name: getattr(evidence, name) for name in _EVIDENCE_PLAIN},
        "_id": f"{evidence.run_id}:{evidence.attempt}",
        "result": evidence.result.model_dump_json(),
        "received_at_us": to_us(evidence.received_at),
        "clock_offset_s": evidence.clock_offset_s,
    }


def evidence_from_document(document: Document) -> Evidence:
    return Evidence(
        **{name: document[name] for name in _EVIDENCE_PLAIN},
        result=read_result(document["result"]),
        received_at=from_us(document["received_at_us"]),
        clock_offset_s=document.get("clock_offset_s"),  # absent before followers told the time
    )


_ARTIFACT_PLAIN: Final = ("run_id", "attempt", "kind", "sha256", "size_bytes")


def artifact_to_document(artifact: StoredArtifact) -> Document:
    plain = {name: getattr(artifact, name) for name in _ARTIFACT_PLAIN}
    return {**plain, "_id": f"{artifact.run_id}:{artifact.attempt}:{artifact.kind}"}


def artifact_from_document(document: Document) -> StoredArtifact:
    return StoredArtifact(**{name: document[name] for name in _ARTIFACT_PLAIN})


def follower_to_document(follower: Follower) -> Document:
    return {
        "_id": follower.registration.name,
        "incarnation": follower.registration.incarnation,
        "registration": follower.registration.model_dump_json(),
        "last_seen_at_us": to_us(follower.last_seen_at),
        "busy_slots": to_json(list(follower.busy_slots)),
        "left": int(follower.left),
        "clock_offset_s": follower.clock_offset_s,
    }


@lru_cache(maxsize=1024)
def _registration(text: str) -> Registration:
    """Every claim and heartbeat reads it, and it seldom changes."""
    return Registration.model_validate_json(text)


def follower_from_document(document: Document) -> Follower:
    return Follower(
        registration=_registration(document["registration"]),
        last_seen_at=from_us(document["last_seen_at_us"]),
        busy_slots=tuple(json.loads(document["busy_slots"])),
        cordoned=bool(document.get("cordoned", 0)),  # absent before there were any, as what follows
        left=bool(document.get("left", 0)),
        clock_offset_s=document.get("clock_offset_s"),
    )


def token_to_document(token: Token) -> Document:
    return {
        "_id": token.name,
        "sha256": token.sha256,
        "role": token.role,
        "follower": token.follower,
        "created_at_us": to_us(token.created_at),
    }


def token_from_document(document: Document) -> Token:
    return Token(
        sha256=document["sha256"],
        name=document["_id"],
        role=document["role"],
        follower=document.get("follower"),  # absent before tokens were bound
        created_at=from_us(document["created_at_us"]),
    )


_VERSION_PLAIN: Final = ("name", "version", "state", "sha256", "size_bytes", "detail")


def version_to_document(version: VersionedBlob) -> Document:
    return {
        **{name: getattr(version, name) for name in _VERSION_PLAIN},
        "_id": f"{version.name}@{version.version}",
        "facts": to_json(version.facts),
        "search_text": f"{version.name} {to_json(version.facts)}".lower(),
        "created_at_us": to_us(version.created_at),
    }


def version_from_document(document: Document) -> VersionedBlob:
    plain = {name: document[name] for name in _VERSION_PLAIN}
    return VersionedBlob(**plain, facts=json.loads(document["facts"]), created_at=from_us(document["created_at_us"]))
