"""Jobs, runs and what belongs to them, with every field filled and user data that looks like operators and paths."""

from datetime import UTC, datetime, timedelta
from typing import Any

from support.stored_records import START, record

from leader.perfdb.entities import (
    Event,
    Evidence,
    Job,
    Run,
)
from leader.perfdb.mongo import MongoPerfDB
from shared.jobs import ids
from shared.jobs.lifecycle import Lease, RunStatus, claim
from shared.scheduling.needs import Need
from shared.wire.assignment import BlobPin, ModelPin, Result, Success
from shared.wire.identity import Capabilities, Inventory, Registration, Slot

T0 = datetime(2026, 3, 1, 12, 0, 0, 123_457, tzinfo=UTC)
NASTY: dict[str, Any] = {
    "$ne": None,
    "a.b.c": {"$gt": ""},
    "": "$where",
    "service.batching.max_batch_size": 8,
    "é\"'": 0.1,
}
"""User data that would be an operator, a path or broken storage, if it were ever taken for more than data."""


def job(number: int = 1, **changes: Any) -> Job:
    """A job with every field filled."""
    fields: dict[str, Any] = {
        "id": job_id(number),
        "owner": "ann",
        "team": "vision",
        "name": "a-job",
        "priority": "normal",
        "idempotency_key": f"key-{number}",
        "body_sha256": "0" * 64,
        "spec": NASTY,
        "run_count": 1,
        "models": (ModelPin(name="m", version=3, sha256="a" * 64, size_bytes=5, card=NASTY),),
        "datasets": (BlobPin(name="d", version=1, sha256="b" * 64, size_bytes=6),),
        "created_at": T0,
    }
    return Job(**{**fields, **changes})


def job_id(number: int) -> str:
    """Ids in the order of their numbers."""
    return ids.new_job_id(START + timedelta(milliseconds=number), bytes(10))


def run(number: int = 1, index: int = 0, **changes: Any) -> Run:
    """A queued run with every field filled."""
    fields: dict[str, Any] = {
        "id": ids.run_id(job_id(number), index),
        "job_id": job_id(number),
        "name": "a-job",
        "team": "vision",
        "owner": "ann",
        "index": index,
        "repeat": 0,
        "point": NASTY,
        "spec": {"deep": [NASTY]},
        "needs": (Need("service.platform", "onnxruntime"),),
        "predicted_s": 12.5,
        "comparability_key": "c" * 64,
        "model": ModelPin(name="m", version=3, sha256="a" * 64, size_bytes=5, card=NASTY),
        "history": (Event(run_id=ids.run_id(job_id(number), index), fence=0, n=0, at=T0, kind="queued", message="$x"),),
        "created_at": T0,
        "updated_at": T0,
    }
    return Run(**{**fields, **changes})


def lease(follower: str = "f1", slot: str = "cpu-0", *, until: datetime = T0 + timedelta(seconds=15)) -> Lease:
    """A lease on a slot."""
    return Lease(follower=follower, incarnation="i-1", slot=slot, expires_at=until)


def told(moved: Run, status: RunStatus, kind: str) -> Event:
    """The event of a move."""
    return Event(run_id=moved.id, fence=status.fence, n=0, at=T0, kind=kind, message=kind, data=NASTY)


async def claimed(db: MongoPerfDB, queued: Run, holder: Lease | None = None) -> Run:
    """The run after a follower won it."""
    status = claim(queued.status, holder or lease(), T0)
    moved = await db.runs.move(queued, status, at=T0, event=told(queued, status, "claimed"))
    assert moved is not None
    return moved


def progress(fence: int, n: int, message: str = "m") -> Event:
    """A follower's event."""
    return Event(run_id=run().id, fence=fence, n=n, at=T0, kind="measuring", message=message, data=NASTY)


def evidence(sha256: str = "1" * 64) -> Evidence:
    """What a first attempt delivered."""
    result = Result(incarnation="i-1", attempt=1, fence=1, outcome=Success(record=record(run().id)))
    return Evidence(run_id=run().id, attempt=1, fence=1, follower="f1", sha256=sha256, result=result, received_at=T0)


def run_id(number: int) -> str:
    """The first run of a job."""
    return ids.run_id(job_id(number), 0)


def registration(name: str = "f1", incarnation: str = "i-1") -> Registration:
    """A follower with strange labels."""
    return Registration(
        name=name,
        incarnation=incarnation,
        version="1",
        inventory=Inventory(hostname="h", cpu_model="c", logical_cores=2, physical_cores=None, memory_bytes=1,
                            kernel="k", os="o", governor=None, versions={"a.b": "$1"}),
        capabilities=Capabilities(platforms=(), patterns=(), networks=(), pipeline_sides=(), ops=(),
                                  model_families=(), datasets=(), labels={"zone.$x": "$ne", "": ""}),
        slots=(Slot(name="cpu-0", device="cpu", server_cores=(0,), client_cores=(1,)),),
    )  # fmt: skip
