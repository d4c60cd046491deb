"""Early binding: on arrival each run gets the slot that it will wait for."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from shared.scheduling.avoidance import Avoidance
from shared.scheduling.backlog import Queued, SlotKey
from shared.scheduling.policy import SchedulingPolicy
from shared.scheduling.snapshot import SlotState, Snapshot


@dataclass(frozen=True)
class Binding:
    """A run that from now on waits for ``slot`` only."""

    run_id: str
    slot: SlotKey


def bind(snapshot: Snapshot, policy: SchedulingPolicy) -> tuple[Binding, ...]:
    """A slot for each run that has none, whose slot is gone or leaves it to others, in order of submission.

    A run that no live slot can serve stays unbound.
    """
    slots = [slot for slot in snapshot.slots if slot.accepts]
    avoidance = Avoidance(snapshot)
    unbound = _unbound(snapshot, avoidance)
    if not unbound or not slots:
        return ()

    def able(run: Queued) -> list[int]:
        return [
            index
            for index, slot in enumerate(slots)
            if snapshot.fits(run.needs, slot) and not avoidance.leaves(slot.key.follower, run)
        ]

    chooser = _Shortest(snapshot, slots, able) if policy.placement == "queue-aware" else _InTurn(snapshot, able)
    return tuple(
        Binding(run.run_id, slots[index].key) for run in unbound if (index := chooser.slot_for(run)) is not None
    )


def _unbound(snapshot: Snapshot, avoidance: Avoidance) -> list[Queued]:
    rows, codes = snapshot.backlog.rows(), snapshot.backlog.slots
    alive = [code for slot in snapshot.slots if (code := codes.known(slot.key)) is not None]
    lost = np.flatnonzero(~np.isin(rows.bound, alive))
    runs = {run.run_id: run for run in (snapshot.backlog.at(int(row)) for row in lost)}
    runs |= {run.run_id: run for run in avoidance.bound_astray()}
    return sorted(runs.values(), key=lambda run: (run.submitted_s, run.seq, run.run_id))


Able = Callable[[Queued], list[int]]
"""The slots that may have a run, by their index."""


class _InTurn:
    """Round-robin over the slots that can run it."""

    def __init__(self, snapshot: Snapshot, able: Able) -> None:
        self._able = able
        self._next = snapshot.bound_so_far

    def slot_for(self, run: Queued) -> int | None:
        able = self._able(run)
        if not able:
            return None
        self._next += 1
        return able[(self._next - 1) % len(able)]


class _Shortest:
    """The slot with the fewest predicted seconds: the rest of what runs there, and all that is bound to it."""

    def __init__(self, snapshot: Snapshot, slots: Sequence[SlotState], able: Able) -> None:
        self._able = able
        self._backlog_s = [self._ahead_s(snapshot, slot) for slot in slots]

    @staticmethod
    def _ahead_s(snapshot: Snapshot, slot: SlotState) -> float:
        rows = snapshot.backlog.rows()
        rest_s = max(slot.occupant.predicted_end_s - snapshot.now_s, 0.0) if slot.occupant else 0.0
        code = snapshot.backlog.slots.known(slot.key)
        return rest_s if code is None else rest_s + float(rows.predicted_s[rows.bound == code].sum())

    def slot_for(self, run: Queued) -> int | None:
        found = min(self._able(run), key=lambda index: (self._backlog_s[index], index), default=None)
        if found is not None:
            self._backlog_s[found] += run.predicted_s
        return found
