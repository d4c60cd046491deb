"""How often attempts were taken back, and why: since this leader started."""

from collections import Counter
from typing import Final

from leader.perfdb.entities import Run
from shared.jobs.lifecycle import RunState

TAKEN_BACK: Final = frozenset({RunState.QUEUED, RunState.LOST, RunState.QUARANTINED})


class Requeues:
    """Counts, by cause. A run that is lost or quarantined had its last attempt taken back, too."""

    def __init__(self) -> None:
        self.by_cause: Counter[str] = Counter()

    async def watch(self, run: Run) -> None:
        """A run moved."""
        if run.status.state in TAKEN_BACK and run.status.cause is not None:
            self.by_cause[run.status.cause.value] += 1
