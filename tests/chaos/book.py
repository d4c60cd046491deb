"""What was asked of the leader and what it promised: the truth that the end is held to."""

import threading
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Final

LIVE: Final = frozenset({"queued", "claimed", "running"})


@dataclass(frozen=True)
class Accepted:
    """A run that the leader has accepted. ``state`` is what was last heard of it."""

    run_id: str
    job_id: str
    deed: str
    state: str = "queued"

    @property
    def is_live(self) -> bool:
        return self.state in LIVE


@dataclass(frozen=True)
class Cancel:
    """A cancel that the leader has confirmed, ``at_ns`` (CLOCK_BOOTTIME) after its answer."""

    run_id: str
    phase: str
    at_ns: int


@dataclass
class Book:
    """Every promise, from any thread."""

    runs: dict[str, Accepted] = field(default_factory=dict)
    cancels: list[Cancel] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    jobs: dict[str, tuple[str, dict[str, object]]] = field(default_factory=dict)  # key -> job id, body
    _guard: threading.RLock = field(default_factory=threading.RLock, repr=False)

    def accept(self, key: str, job_id: str, body: dict[str, object], runs: Iterable[Accepted]) -> None:
        """The leader has answered a submit; the same key must always bring the same job."""
        with self._guard:
            known = self.jobs.setdefault(key, (job_id, body))
            if known[0] != job_id:
                self.broken.append(f"key {key} made two jobs: {known[0]} and {job_id}")
            for run in runs:
                self.runs.setdefault(run.run_id, run)

    def heard(self, run_id: str, state: str, *, before: Accepted) -> None:
        """A run's state as the leader shows it to a question that was asked when we knew ``before``.

        An end that changes is a promise broken; news that was overtaken is no news.
        """
        with self._guard:
            if not before.is_live and before.state != state:
                self.broken.append(f"{run_id} was {before.state} and then {state}")
            if self.runs[run_id].is_live:
                self.runs[run_id] = replace(before, state=state)

    def confirm(self, cancel: Cancel) -> None:
        """The leader says that the run is cancelled."""
        with self._guard:
            self.cancels.append(cancel)
            self.heard(cancel.run_id, "cancelled", before=self.runs[cancel.run_id])

    def snapshot(self) -> list[Accepted]:
        """Every accepted run, oldest first."""
        with self._guard:
            return list(self.runs.values())

    def live(self) -> list[Accepted]:
        """Those that have not ended, as far as we have heard."""
        return [run for run in self.snapshot() if run.is_live]
