"""Assignments, registrations and slots with every field filled, for tests to vary."""

from typing import Any

from shared.jobs.spec import RunSpec
from shared.wire.assignment import Assignment, BlobPin, ModelPin
from shared.wire.identity import Capabilities, Inventory, Registration, Slot

JOB = "j-01jd00000000000000000000aa"

SMALL_JOB: dict[str, Any] = {
    "model": {"generate": {"family": "fc", "layers": 1, "width": 8}},
    "requests": {"distinct": 4},
    "workload": {"pattern": "closed", "concurrency": 1, "warmup": "200ms", "duration": "1s"},
}
"""The smallest job that is a real benchmark."""


def run_spec(**sections: Any) -> RunSpec:
    """``SMALL_JOB`` with sections replaced."""
    return RunSpec.model_validate({**SMALL_JOB, **sections})


def assignment(
    run_id: str = f"{JOB}.0000",
    *,
    attempt: int = 1,
    fence: int = 1,
    lease_s: float = 15.0,
    spec: RunSpec | None = None,
    model: ModelPin | None = None,
    dataset: BlobPin | None = None,
) -> Assignment:
    """A claimed run, of the small job unless told otherwise."""
    return Assignment(
        run_id=run_id,
        job_id=run_id.rpartition(".")[0],
        attempt=attempt,
        fence=fence,
        lease_s=lease_s,
        spec=spec or run_spec(),
        model=model,
        dataset=dataset,
    )


def inventory() -> Inventory:
    """A host with two cores and nothing remarkable."""
    return Inventory(
        hostname="host-1",
        cpu_model="Test CPU",
        logical_cores=2,
        physical_cores=2,
        memory_bytes=8 * 1024**3,
        kernel="6.0",
        os="Debian",
        governor=None,
    )


def slot(name: str = "cpu", *, server_cores: tuple[int, ...] = (), client_cores: tuple[int, ...] = ()) -> Slot:
    """A slot that pins nothing unless told to."""
    return Slot(name=name, device="cpu", server_cores=server_cores, client_cores=client_cores)


def registration(name: str = "follower-1", *, incarnation: str = "incarnation-1") -> Registration:
    """A follower with one slot that announces nothing."""
    nothing = Capabilities(
        platforms=(), patterns=(), networks=(), pipeline_sides=(), ops=(), model_families=(), datasets=()
    )
    return Registration(
        name=name,
        incarnation=incarnation,
        version="0",
        inventory=inventory(),
        capabilities=nothing,
        slots=(slot(),),
    )
