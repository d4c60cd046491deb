"""What the sender process leaves for its parent beside the samples: one pickled file, whole or not at all."""

import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from follower.load.protocol import LoadOutcome
from shared.jobs.lifecycle import Cause

OUTCOME: Final = "outcome.pickle"


@dataclass(frozen=True)
class SendFailure:
    """The load could not be started, and it is the run's own fault."""

    cause: Cause
    detail: str


def leave(folder: Path, outcome: LoadOutcome | SendFailure) -> None:
    """Puts the outcome into the folder that sender and parent share."""
    partial = folder / (OUTCOME + ".partial")
    partial.write_bytes(pickle.dumps(outcome))
    partial.replace(folder / OUTCOME)


def fetch(folder: Path) -> LoadOutcome | SendFailure | None:
    """What the sender left; None where it left nothing."""
    path = folder / OUTCOME
    if not path.exists():
        return None
    outcome: LoadOutcome | SendFailure = pickle.loads(path.read_bytes())  # noqa: S301 - our own child's, in a 0700 directory
    return outcome
