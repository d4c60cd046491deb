"""Carrying out moves: decide on what was read, compare and set, and on a lost race read and decide again."""

import asyncio
from collections.abc import Awaitable, Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from leader.manage.story import event_of
from leader.perfdb.entities import Run
from leader.perfdb.protocol import RunStore
from shared.clock import Clock
from shared.errors import Conflict, Unavailable
from shared.jobs.lifecycle import IllegalMove, RunStatus

ATTEMPTS: Final = 20


@dataclass(frozen=True)
class Move:
    """The status that a run should get, and what its event should say besides."""

    status: RunStatus
    data: dict[str, Any]

    @classmethod
    def to(cls, status: RunStatus, **data: Any) -> "Move":
        return cls(status, data)


Decide = Callable[[Run], Move | None]
"""A pure decision on a run as it stands: a move, None to leave it, or an error of shared.errors or IllegalMove."""

Watcher = Callable[[Run], Awaitable[None]]
"""Is told of every run that moved. What it fails at must not undo the move: it raises nothing."""


class Listeners:
    """Wakes those who wait for news of a run in this process. The database stays the truth for all the others."""

    def __init__(self) -> None:
        self._waiting: dict[str, set[asyncio.Event]] = {}

    @contextmanager
    def listening(self, run_id: str) -> Generator[asyncio.Event]:
        """An event that is set at each news of the run."""
        news = asyncio.Event()
        self._waiting.setdefault(run_id, set()).add(news)
        try:
            yield news
        finally:
            self._waiting[run_id].discard(news)
            if not self._waiting[run_id]:
                del self._waiting[run_id]

    def notify(self, run_id: str) -> None:
        """There is news."""
        for news in self._waiting.get(run_id, ()):
            news.set()


class Mover:
    """Moves runs and tells the listeners."""

    def __init__(self, runs: RunStore, listeners: Listeners, clock: Clock, *, watchers: Sequence[Watcher] = ()) -> None:
        self._runs = runs
        self._listeners = listeners
        self._clock = clock
        self._watchers = tuple(watchers)

    async def try_once(self, run: Run, move: Move) -> Run | None:
        """The moved run, or None where it is no longer as it was read. Raises Conflict, Unavailable."""
        now = self._clock.utc_now()
        moved = await self._runs.move(run, move.status, at=now, event=event_of(run, move.status, now, **move.data))
        if moved is not None:
            self._listeners.notify(run.id)
            for watcher in self._watchers:
                await watcher(moved)
        return moved

    async def move(self, run_id: str, decide: Decide) -> tuple[Run, bool]:
        """The run after ``decide`` was carried out, and whether it moved.

        Raises:
            Conflict: its state does not allow the move.
            NotFound, Unavailable, and what ``decide`` raises.
        """
        for _ in range(ATTEMPTS):
            run = await self._runs.get(run_id)
            try:
                move = decide(run)
            except IllegalMove as error:
                raise Conflict(f"run {run_id} is {run.status.state} already") from error
            if move is None:
                return run, False
            moved = await self.try_once(run, move)
            if moved is not None:
                return moved, True
        raise Unavailable(f"run {run_id} is changed by too many at once; try again")
