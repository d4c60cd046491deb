"""Slot-seconds by device class and use, as this leader sees them: how busy the cluster is, and how idle beside work."""

import asyncio
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from typing import Final

from leader.manage.dispatch import Dispatcher
from leader.manage.lineup import Lineup
from leader.manage.policy import LeasePolicy
from leader.manage.roster import Roster
from leader.manage.views import is_alive
from shared.clock import Clock
from shared.scheduling.utilisation import SlotUse, slot_uses
from shared.wire.identity import Slot

EVERY_S: Final = 2.0
MOST_S: Final = 10.0
"""Of a longer time between two looks only so much is counted: what happened meanwhile is not known."""

MISSED_FOR: Final = timedelta(days=1)
"""A follower that is silent for longer is taken for gone for good."""


class Utilisation:
    """Counts since this leader started. Leaders beside one another count the same slots, each for itself."""

    def __init__(
        self, *, dispatcher: Dispatcher, roster: Roster, lineup: Lineup, clock: Clock, policy: LeasePolicy
    ) -> None:
        self._dispatcher = dispatcher
        self._roster = roster
        self._lineup = lineup
        self._clock = clock
        self._policy = policy
        self._uses: Counter[tuple[str, SlotUse]] = Counter()  # at the last look
        self._looked_ns: int | None = None
        self.slot_seconds: dict[tuple[str, SlotUse], float] = {}  # (device class, use) -> seconds

    async def run_once(self) -> None:
        """Count the time since the last look by what slots were at then, and look again. Raises Unavailable."""
        uses = await self._look()
        now_ns = self._clock.monotonic_ns()
        if self._looked_ns is not None:
            elapsed_s = min((now_ns - self._looked_ns) / 1e9, MOST_S)
            for kind, slots in self._uses.items():
                self.slot_seconds[kind] = self.slot_seconds.get(kind, 0.0) + slots * elapsed_s
        self._uses, self._looked_ns = uses, now_ns

    async def _look(self) -> Counter[tuple[str, SlotUse]]:
        """In a thread: whether each follower could run each kind of waiting run is a long question the first time."""
        live = await self._dispatcher.snapshot()
        snapshot = replace(live, backlog=live.backlog.copy())
        return await asyncio.to_thread(slot_uses, snapshot, await self._unreachable())

    async def _unreachable(self) -> list[Slot]:
        now, lease = self._clock.utc_now(), self._policy.lease
        missed = [each for each in await self._roster.recent() if not is_alive(each, now, lease)]
        return [slot for each in missed if is_alive(each, now, MISSED_FOR) for slot in each.registration.slots]
