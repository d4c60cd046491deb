"""What a sender process leaves for its parent beside the rows: one pickled file, whole or not at all."""

import pickle
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from shared.jobs.lifecycle import Cause

OUTCOME: Final = "outcome.pickle"


@dataclass(frozen=True, kw_only=True)
class WorkerOutcome:
    """One worker's end."""

    end_ns: int
    mean_in_flight: float
    answers: Sequence[object]  # per payload; None where none came
    notes: Sequence[str]


@dataclass(frozen=True)
class SendFailure:
    """The load could not be started, and it is the run's own fault."""

    cause: Cause
    detail: str


def leave(folder: Path, outcome: WorkerOutcome | SendFailure) -> None:
    """Puts the outcome into the folder that sender and parent share."""
    partial = folder / (OUTCOME + ".partial")
    partial.write_bytes(pickle.dumps(outcome))
    partial.replace(folder / OUTCOME)


def fetch(folder: Path) -> WorkerOutcome | SendFailure | None:
    """What the sender left; None where it left nothing."""
    path = folder / OUTCOME
    if not path.exists():
        return None
    outcome: WorkerOutcome | SendFailure = pickle.loads(path.read_bytes())  # noqa: S301 - our own child's, in a 0700 directory
    return outcome


def merge_answers(workers: Sequence[Sequence[object]]) -> tuple[object, ...]:
    """Per payload the first answer that any worker got."""
    return tuple(
        next((answer for answer in answers if answer is not None), None) for answers in zip(*workers, strict=True)
    )
