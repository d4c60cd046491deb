"""A run's story: the leader's events in the run, the follower's in their own collection, read as one."""

import asyncio
import re
import time
from collections.abc import AsyncIterator
from typing import Final

from leader.manage.moves import Listeners
from leader.manage.story import merged
from leader.manage.views import event_view
from leader.perfdb.entities import TERMINAL_EVENT_N, Event
from leader.perfdb.protocol import EventStore, RunStore
from shared.errors import InvalidInput
from shared.wire.views import EventView

MAX_PROGRESS_N: Final = TERMINAL_EVENT_N - 1
BATCH: Final = 500
LOOK_EVERY_S: Final = 1.0
"""How soon news that came through another leader is seen."""

_BEFORE_ALL: Final = (0, -1)
_EVENT_ID: Final = re.compile(r"(\d{1,12})\.(\d{1,7})")


class Events:
    """Reads events and waits for new ones."""

    def __init__(
        self, runs: RunStore, events: EventStore, listeners: Listeners, *, look_every_s: float = LOOK_EVERY_S
    ) -> None:
        self._runs = runs
        self._events = events
        self._listeners = listeners
        self._look_every_s = look_every_s

    async def after(self, run_id: str, last_event_id: str | None) -> tuple[EventView, ...]:
        """Events behind ``last_event_id`` ("FENCE.N"; None: from the start). Raises NotFound, InvalidInput."""
        position, views = parse_event_id(last_event_id), []
        while batch := (await self._read(run_id, position))[0]:
            views += [event_view(event) for event in batch]
            position = batch[-1].position
        return tuple(views)

    async def follow(
        self, run_id: str, last_event_id: str | None, *, idle_s: float = 15.0
    ) -> AsyncIterator[EventView | None]:
        """Events as they come, until the run's last one. None after ``idle_s`` without any: time for a sign of life.

        Raises:
            NotFound, InvalidInput: at the first item.
        """
        position, told_at = parse_event_id(last_event_id), time.monotonic()
        with self._listeners.listening(run_id) as news:
            while True:
                news.clear()  # before reading: what comes while reading is read in the next round
                batch, ended = await self._read(run_id, position)
                for event in batch:
                    yield event_view(event)
                if batch:
                    position, told_at = batch[-1].position, time.monotonic()
                    continue
                if ended:
                    return
                if time.monotonic() - told_at >= idle_s:
                    yield None
                    told_at = time.monotonic()
                await self._wait(news, min(self._look_every_s, idle_s))

    async def _read(self, run_id: str, position: tuple[int, int]) -> tuple[list[Event], bool]:
        """The next events in order, and whether the run had ended before they were read."""
        run = await self._runs.get(run_id)
        progress = await self._events.after(run_id, position, limit=BATCH)
        return merged(run, progress, position, truncated=len(progress) == BATCH), run.status.state.is_terminal

    async def _wait(self, news: asyncio.Event, at_most_s: float) -> None:
        try:
            await asyncio.wait_for(news.wait(), at_most_s)
        except TimeoutError:
            return  # nobody told us anything: look all the same


def parse_event_id(text: str | None) -> tuple[int, int]:
    """The id FENCE.N as (fence, n); None is before the first event. Raises InvalidInput."""
    if text is None:
        return _BEFORE_ALL
    match = _EVENT_ID.fullmatch(text)
    if match is None:
        raise InvalidInput(f"an event id is FENCE.N, such as 2.17; found {text[:40]!r}")
    return int(match[1]), int(match[2])
