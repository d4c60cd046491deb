"""The leader's manage layer on a real database, with a clock and a bell that tests hold in their hands."""

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from support.clocks import FakeClock
from support.stored_records import record

from leader.manage.desk import Desk, build_desk
from leader.manage.policy import LeasePolicy
from leader.perfdb.mongo import MongoPerfDB, connect
from model_repo.gridfs import GridFsBlobs
from shared.jobs.lifecycle import Cause, RunState
from shared.jobs.spec import JobSpec
from shared.wire.assignment import Artifact, Assignment, Claim, Failure, LeaseCall, Result, Success
from shared.wire.identity import Capabilities, Inventory, PlatformOffer, Registration, Slot
from shared.wire.views import JobView


@dataclass
class RecordingBell:
    """Bell that only remembers."""

    rung: list[str] = field(default_factory=list)
    failures: int = 0

    def ring(self, follower: str) -> None:
        self.rung.append(follower)

    def close(self) -> None:
        """Nothing to stop."""


def registration(name: str = "f1", incarnation: str = "i-1", *, slots: int = 1, **announced: Any) -> Registration:
    """A follower that runs small canonical models on CPU slots cpu-0, cpu-1, ..."""
    offer = PlatformOffer(platform="onnxruntime", version="1", launch=("process",), protocol=("http",), device=("cpu",))
    can: dict[str, Any] = {
        "platforms": (offer,),
        "patterns": ("closed", "constant", "poisson"),
        "networks": ("none",),
        "pipeline_sides": ("client",),
        "ops": (),
        "model_families": ("fc", "lstm"),
        "datasets": ("synthetic",),
    }
    return Registration(
        name=name,
        incarnation=incarnation,
        version="0.1.0",
        inventory=Inventory(
            hostname=name, cpu_model="Test CPU", logical_cores=4, physical_cores=2, memory_bytes=2**30, kernel="6",
            os="x", governor=None,
        ),
        capabilities=Capabilities(**{**can, **announced}),
        slots=tuple(Slot(name=f"cpu-{n}", device="cpu", server_cores=(n,), client_cores=()) for n in range(slots)),
    )  # fmt: skip


def spec(**sections: Any) -> JobSpec:
    """A small job; ``seconds`` is how long it measures."""
    seconds = sections.pop("seconds", 1)
    small = {
        "name": "small",
        "model": {"generate": {"family": "fc", "layers": 1, "width": 8}},
        "workload": {"pattern": "poisson", "rate": 50, "warmup": "0s", "duration": f"{seconds}s"},
    }
    return JobSpec.model_validate({**small, **sections})


async def stream(data: bytes) -> AsyncIterator[bytes]:
    """As a body arrives."""
    yield data[: len(data) // 2]
    yield data[len(data) // 2 :]


@dataclass
class Workplace:
    """A desk with what a test needs around it."""

    desk: Desk
    db: MongoPerfDB
    blobs: GridFsBlobs
    clock: FakeClock
    bell: RecordingBell

    async def submit(self, key: str | None = None, owner: str = "ann", body: str = "", **sections: Any) -> JobView:
        """Submit the small job with sections replaced; ``body`` stands for what was sent."""
        self.clock.advance(0.001)  # ids are ordered by the millisecond
        digest = hashlib.sha256(body.encode()).hexdigest()
        answer = await self.desk.submissions.submit(
            spec(**sections), owner=owner, idempotency_key=key, body_sha256=digest
        )
        return answer.job

    async def claim(self, follower: str = "f1", slot: str = "cpu-0", incarnation: str = "i-1") -> Assignment | None:
        """Ask for work."""
        return await self.desk.queue.claim(follower, Claim(incarnation=incarnation, slot=slot))

    async def claimed(self, follower: str = "f1", slot: str = "cpu-0", incarnation: str = "i-1") -> Assignment:
        """Ask for work that is there."""
        assignment = await self.claim(follower, slot, incarnation)
        assert assignment is not None
        return assignment

    async def renew(self, given: Assignment, follower: str = "f1", *, started: bool = False) -> float:
        """Keep the lease."""
        call = LeaseCall(incarnation="i-1", attempt=given.attempt, fence=given.fence, started=started)
        return (await self.desk.queue.renew(follower, given.run_id, call)).lease_s

    async def upload(
        self, given: Assignment, data: bytes, kind: Any = "samples", sha256: str | None = None
    ) -> Artifact:
        """Send a file of the attempt."""
        return await self.desk.queue.store_artifact(
            "f1",
            given.run_id,
            kind,
            attempt=given.attempt,
            fence=given.fence,
            sha256=sha256 or hashlib.sha256(data).hexdigest(),
            chunks=stream(data),
        )

    async def state(self, run_id: str) -> RunState:
        """Where the run stands."""
        return (await self.desk.reads.run(run_id)).state

    async def kinds(self, run_id: str) -> list[tuple[str, str]]:
        """Ids and kinds of a run's events."""
        return [(event.id, event.kind) for event in await self.desk.events.after(run_id, None)]


def success(given: Assignment, *artifacts: Artifact, follower: str = "f1", **changes: Any) -> Result:
    """What an attempt delivers that measured something."""
    measured = record(given.run_id, attempt=given.attempt, follower=follower, **changes)
    return Result(
        incarnation="i-1", attempt=given.attempt, fence=given.fence, outcome=Success(record=measured),
        artifacts=artifacts,
    )  # fmt: skip


def failure(given: Assignment, cause: Cause = Cause.SERVER_DIED) -> Result:
    """What an attempt delivers that did not."""
    return Result(
        incarnation="i-1", attempt=given.attempt, fence=given.fence,
        outcome=Failure(cause=cause, detail="it broke", log_tail="last words"),
    )  # fmt: skip


@asynccontextmanager
async def workplace(url: str, *, followers: int = 1, clock: FakeClock | None = None) -> AsyncIterator[Workplace]:
    """An open desk on this database, with followers f1, f2, ... registered. Two on one database share a clock."""
    db, blobs = connect(url)
    clock, bell = clock or FakeClock(), RecordingBell()
    desk = build_desk(
        perfdb=db, blobs=blobs, bell=bell, clock=clock, policy=LeasePolicy(), broker_url=None,
        max_upload_bytes=1_000_000,
    )  # fmt: skip
    try:
        await desk.start()
        for number in range(1, followers + 1):
            await desk.followers.register(registration(f"f{number}"))
        yield Workplace(desk, db, blobs, clock, bell)
    finally:
        await db.close()
