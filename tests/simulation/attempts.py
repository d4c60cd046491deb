"""Attempts without processes: what each does is drawn when its run is first started, and is the same every time."""

from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random
from typing import Final, Literal

from support.stored_records import record

from follower.agent.events import AttemptKey
from shared.jobs.lifecycle import Cause
from shared.measure.record import Verdict
from shared.wire.assignment import Assignment, Failure, Success

Kind = Literal["success", "invalid", "own-failure", "flaky", "silent", "refused", "poison"]

KINDS: Final[dict[Kind, int]] = {
    "success": 70,
    "invalid": 5,  # a record that proves nothing
    "own-failure": 6,  # the run's own fault
    "flaky": 8,  # infrastructure fails the first attempts
    "silent": 4,  # the first attempt leaves no outcome
    "refused": 2,  # a record that the leader does not take
    "poison": 5,  # kills its follower, every time
}
"""Weights of what a run does."""

SHORT: Final = 0.9
"""The share of runs that take less than a lease; the rest must be renewed, and stopped where that fails."""

STEPS: Final = ("measuring",)


@dataclass(frozen=True)
class Script:
    """What the attempts of a run do, and how long they take."""

    kind: Kind
    duration_s: float

    @classmethod
    def drawn(cls, rng: Random) -> "Script":
        (kind,) = rng.choices(list(KINDS), list(KINDS.values()))
        return cls(kind, rng.uniform(0.5, 6.0) if rng.random() < SHORT else rng.uniform(14.0, 28.0))

    def outcome(self, assignment: Assignment, follower: str, slot: str) -> Success | Failure | None:
        """What the attempt leaves; None where it leaves nothing."""
        if self.kind == "own-failure":
            return Failure(cause=Cause.SERVER_DIED, detail="scripted")
        if self.kind == "flaky" and assignment.attempt <= 1:
            return Failure(cause=Cause.FOLLOWER_ERROR, detail="scripted")
        if self.kind == "silent" and assignment.attempt <= 1:
            return None
        attempt = assignment.attempt + (self.kind == "refused")
        named = {"run_id": assignment.run_id, "job_id": assignment.job_id, "attempt": attempt}
        measured = _INVALID if self.kind == "invalid" else _STABLE
        return Success(record=measured.model_copy(update={**named, "follower": follower, "slot": slot}))


_STABLE: Final = record()
_INVALID: Final = record(verdict=Verdict(kind="invalid", reasons=("scripted",)))
STAMP: Final = datetime(2026, 3, 1, 12, tzinfo=UTC)


@dataclass
class AttemptProcess:
    """A process on a device. ``dying``: it was told to. ``delayed_s``: by its machine, which stood still."""

    host: str
    slot: str
    key: AttemptKey
    incarnation: str
    assignment: Assignment
    script: Script
    started_s: float
    dying: bool = False
    delayed_s: float = 0.0
    ended_s: float | None = None

    def __str__(self) -> str:
        return f"{self.key} on {self.host}/{self.slot}"
