"""Loops that run beside the requests: one that dies is logged, started again, and seen in /readyz."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

import structlog

from shared.clock import Clock
from shared.errors import Unavailable

RESTART_AFTER_S: Final = 1.0
CANCEL_AGAIN_AFTER_S: Final = 0.5
SETTLED_AFTER_NS: Final = 10_000_000_000

log = structlog.get_logger(__name__)

Loop = Callable[[], Awaitable[None]]


@dataclass
class LoopHealth:
    """How a loop has fared since the start."""

    deaths: int = 0
    died_at_ns: int | None = None
    last_error: str | None = None

    def is_settled(self, now_ns: int) -> bool:
        """Alive, and not just started again after a death."""
        return self.died_at_ns is None or now_ns - self.died_at_ns > SETTLED_AFTER_NS


class Background:
    """Keeps named loops alive for as long as its ``async with`` lasts. A loop is meant never to return."""

    def __init__(self, loops: Mapping[str, Loop], clock: Clock, *, restart_after_s: float = RESTART_AFTER_S) -> None:
        self._loops = loops
        self._clock = clock
        self._restart_after_s = restart_after_s
        self._tasks: list[asyncio.Task[None]] = []
        self.health = {name: LoopHealth() for name in loops}

    def unsettled(self) -> dict[str, str]:
        """Loop -> why it last died, for those that are down or have only just been started again."""
        now_ns = self._clock.monotonic_ns()
        return {name: state.last_error or "" for name, state in self.health.items() if not state.is_settled(now_ns)}

    async def __aenter__(self) -> Self:
        self._tasks = [asyncio.create_task(self._keep(name, loop), name=name) for name, loop in self._loops.items()]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pending = set(self._tasks)
        while pending:  # a database driver may swallow a cancel that comes while it opens a connection
            for task in pending:
                task.cancel()
            _, pending = await asyncio.wait(pending, timeout=CANCEL_AGAIN_AFTER_S)

    async def _keep(self, name: str, loop: Loop) -> None:
        while True:
            try:
                await loop()
                self._record_death(name, "it returned")
            except Exception as error:
                log.exception("background.died", loop=name)
                self._record_death(name, f"{type(error).__name__}: {error}")
            await asyncio.sleep(self._restart_after_s)

    def _record_death(self, name: str, reason: str) -> None:
        state = self.health[name]
        state.deaths += 1
        state.died_at_ns = self._clock.monotonic_ns()
        state.last_error = reason


def every(interval_s: float, act: Callable[[], Awaitable[object]]) -> Loop:
    """A loop that acts, waits, and acts again. An outage of the store is logged and outlived."""

    async def loop() -> None:
        while True:
            try:
                await act()
            except Unavailable as error:
                log.warning("background.store_unavailable", reason=error.detail)
            await asyncio.sleep(interval_s)

    return loop
