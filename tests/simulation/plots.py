"""What a story is made of: who wants which jobs, what attempts do, and what goes wrong."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from support.stored_records import record

from shared.jobs.lifecycle import Cause
from shared.jobs.spec import JobSpec
from shared.measure.record import SloCheck
from shared.wire.assignment import Assignment, Failure, Success
from simulation.attempts import Kind, Script
from simulation.cues import Act, Cue
from simulation.faults import Operation
from simulation.network import Request

LASTS_S: Final = 6.0
"""Longer than the time between two renewals, so that there is one in the middle."""
FAILS_AFTER_S: Final = 1.0
_LIMIT_RPS: Final = 30.0


@dataclass(frozen=True)
class Wanted:
    """A job that somebody submits.

    ``after``: the moment before which they do not. ``cancel``: the moment at which they cancel it, or only its first
    run. ``first``: what they ask for before. ``insists``: they send again what was not answered; others give up.
    """

    job: JobSpec
    at_s: float = 0.0
    after: Cue | None = None
    cancel: Cue | None = None
    cancels_its_run: bool = False
    first: Request | None = None
    insists: bool = True


@dataclass(frozen=True)
class Story:
    """What happens, to whom.

    ``slots``: of each host. ``incidents``: what goes wrong besides, and at which moment (once). ``deaf``: no ring is
    heard. ``uploads_in_full``: with samples, and into GridFS with all its writes.
    """

    name: str
    wanted: tuple[Wanted, ...]
    kind: Kind = "success"
    lasts_s: float = LASTS_S
    slots: tuple[int, ...] = (1,)
    leaders: int = 1
    incidents: tuple[tuple[Cue, Act], ...] = ()
    delay_s: Callable[[Operation], float] | None = None
    kill_takes_s: float = 0.05
    renewals_take_s: float = 0.0
    deaf: bool = False
    uploads_in_full: bool = False
    can_be_retried: bool = True
    script: Callable[["Story", Assignment, int], Script] = field(
        default=lambda story, *_: Script(story.kind, story.lasts_s)
    )

    def script_of(self, assignment: Assignment, attempt: int) -> Script:
        """What an attempt does in the story about this attempt: those before it fail."""
        scripted = self.script(self, assignment, attempt)
        if assignment.attempt < attempt:
            return FailsFirst(scripted.kind, FAILS_AFTER_S)
        return scripted


@dataclass(frozen=True)
class FailsFirst(Script):
    """Infrastructure fails the attempt."""

    def outcome(self, assignment: Assignment, follower: str, slot: str) -> Success | Failure | None:
        del assignment, follower, slot
        return Failure(cause=Cause.FOLLOWER_ERROR, detail="scripted")


@dataclass(frozen=True)
class Probes(Script):
    """A server that meets its limit up to a rate."""

    def outcome(self, assignment: Assignment, follower: str, slot: str) -> Success | Failure | None:
        rate_rps = float(getattr(assignment.spec.workload, "rate", 0.0))
        met = rate_rps <= _LIMIT_RPS
        check = SloCheck(limit="p99_ms", allowed=50.0, measured=10.0 if met else 90.0, met=met)
        named = {"run_id": assignment.run_id, "job_id": assignment.job_id, "attempt": assignment.attempt}
        assert _RECORD.load is not None
        load = _RECORD.load.model_copy(update={"offered_rps": rate_rps})
        told = {**named, "follower": follower, "slot": slot, "slo": (check,), "load": load}
        return Success(record=_RECORD.model_copy(update=told))


_RECORD: Final = record()
