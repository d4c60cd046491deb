"""What slots are at, at one moment, and which of them stand idle although work waits that they could do."""

from collections import Counter
from collections.abc import Iterable, Sequence
from enum import StrEnum
from itertools import takewhile
from math import inf
from typing import NamedTuple

import numpy as np

from shared.scheduling.avoidance import AVOID_S, Avoidance
from shared.scheduling.backlog import Queued
from shared.scheduling.snapshot import SlotState, Snapshot
from shared.wire.identity import Slot


class SlotUse(StrEnum):
    """What a slot is at."""

    BUSY = "busy"
    IDLE = "idle"  # and nothing waits that it could start
    IDLE_WHILE_ELIGIBLE = "idle-while-eligible"
    CORDONED = "cordoned"  # and not busy any more
    UNREACHABLE = "unreachable"  # its follower is silent


def slot_uses(snapshot: Snapshot, unreachable: Iterable[Slot] = ()) -> Counter[tuple[str, SlotUse]]:
    """(device class, use) -> how many slots; ``unreachable`` are those of silent followers."""
    starved = {slot.key for slot in idle_with_work(snapshot)}
    found = Counter((slot.device, SlotUse.UNREACHABLE) for slot in unreachable)
    for state in snapshot.slots:
        if state.occupant is not None:
            use = SlotUse.BUSY
        elif not state.accepts:
            use = SlotUse.CORDONED
        else:
            use = SlotUse.IDLE_WHILE_ELIGIBLE if state.key in starved else SlotUse.IDLE
        found[device_of(state), use] += 1
    return found


def device_of(slot: SlotState) -> str:
    """Its device class; "" where that is not known."""
    return slot.slot.device if slot.slot else ""


def idle_with_work(snapshot: Snapshot) -> list[SlotState]:
    """Free slots that waiting runs could take now, as many as could start at once: a largest matching.

    A run that is over its team's quota, backs off, or is left to another follower cannot start. A binding counts for
    nothing: what it costs is to be seen.
    """
    free = [slot for slot in snapshot.slots if slot.occupant is None and slot.accepts]
    work = _startable(snapshot) if free and len(snapshot.backlog) else []
    if not work:
        return []
    avoidance = Avoidance(snapshot)
    same: dict[tuple[str, str], list[SlotState]] = {}  # a follower's slots of one device class run the same
    for slot in free:
        same.setdefault((slot.key.follower, device_of(slot)), []).append(slot)
    alike: dict[tuple[int, ...], list[SlotState]] = {}  # what they could start -> slots
    for slots in same.values():
        could = tuple(
            number
            for number, (run, _) in enumerate(work)
            if snapshot.fits(run.needs, slots[0]) and not avoidance.leaves(slots[0].key.follower, run)
        )
        alike.setdefault(could, []).extend(slots)
    taken = _Matching(list(alike), [len(slots) for slots in alike.values()], [one.runs for one in work]).taken()
    return [slot for slots, count in zip(alike.values(), taken, strict=True) for slot in slots[:count]]


class _Work(NamedTuple):
    """Runs that are alike to slots: one of them, and how many there are."""

    run: Queued
    runs: int


def _startable(snapshot: Snapshot) -> list[_Work]:
    """What waits and could start on some slot."""
    backlog, rows = snapshot.backlog, snapshot.backlog.rows()
    allowed = rows.not_before_s <= snapshot.now_s
    if snapshot.quotas:
        teams = backlog.teams.things
        uses = zip(teams, snapshot.uses(teams, inf), strict=True)
        allowed &= np.array([not snapshot.quota(team).holds_back(use) for team, use in uses])[rows.team]
    avoid = np.where(snapshot.now_s < rows.not_before_s + AVOID_S, rows.avoid, -1)
    found = np.flatnonzero(allowed)
    kinds = rows.needs[found] * (len(backlog.avoids.things) + 1) + avoid[found] + 1
    _, first, counts = np.unique(kinds, return_index=True, return_counts=True)
    return [_Work(backlog.at(int(row)), int(count)) for row, count in zip(found[first], counts, strict=True)]


class _Matching:
    """Slots and work, each in groups of what is alike; slots are given work one by one, by augmenting paths."""

    def __init__(self, could: Sequence[tuple[int, ...]], slots: Sequence[int], runs: Sequence[int]) -> None:
        self._could = could  # group of slots -> groups of work
        self._slots = slots
        self._left = list(runs)
        self._given: list[Counter[int]] = [Counter() for _ in runs]  # group of work -> group of slots -> how many

    def taken(self) -> list[int]:
        """How many slots of each group get work. Once a slot gets none, no later one that is like it does."""
        return [
            sum(takewhile(bool, (self._give(group, set()) for _ in range(n)))) for group, n in enumerate(self._slots)
        ]

    def _give(self, slots: int, asked: set[int]) -> bool:
        """Something for one slot of the group, if need be what another group has and finds something else for."""
        asked.add(slots)
        for work in self._could[slots]:
            if self._left[work]:
                self._left[work] -= 1
                self._given[work][slots] += 1
                return True
            if self._take(work, slots, asked):
                return True
        return False

    def _take(self, work: int, slots: int, asked: set[int]) -> bool:
        for other, count in list(self._given[work].items()):
            if count and other not in asked and self._give(other, asked):
                self._given[work][other] -= 1
                self._given[work][slots] += 1
                return True
        return False
