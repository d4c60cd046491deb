"""Which queued run goes to which slot: the one decision, made by the live leader, the simulator and explain alike.

A run is taken by, in this order: its priority class (raised by long waiting), its team's decayed use over its weight
(fair-share only), its rank in the order, its submission. Placements that bind early add a step before: each run gets
a slot on arrival and is later taken by no other. A run that was failed backs off, and then goes to another follower
first: ``shared.scheduling.avoidance``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

from shared.scheduling.avoidance import Avoidance
from shared.scheduling.backlog import Rows, SlotKey
from shared.scheduling.binding import Binding, bind
from shared.scheduling.policy import CLASSES, DEFAULT, SchedulingPolicy
from shared.scheduling.snapshot import SlotState, Snapshot
from shared.scheduling.virtual_wait import virtual_waits

_NEVER: Final = np.iinfo(np.int64).max
_NO_SLOT: Final = -2  # no run is bound to it
_HIGHEST_BY_WAITING: Final = CLASSES["high"]


@dataclass(frozen=True)
class Reason:
    """One part of why a run is next: its name, its value, and a sentence."""

    name: str
    value: float | str
    words: str


@dataclass(frozen=True)
class Placement:
    """A run, the slot that should take it now, and why this one."""

    run_id: str
    slot: SlotKey
    reasons: tuple[Reason, ...]


@dataclass(frozen=True)
class Decision:
    """What to do now. ``bindings`` are to be kept with their runs; only early-binding placements make any."""

    placements: tuple[Placement, ...] = ()
    bindings: tuple[Binding, ...] = ()


def decide(snapshot: Snapshot, policy: SchedulingPolicy = DEFAULT) -> Decision:
    """The run for each free slot that can get one; slots in their order, each seeing what the ones before it took."""
    return _decide(snapshot, policy, [slot for slot in snapshot.slots if slot.occupant is None])


def next_for(snapshot: Snapshot, key: SlotKey, policy: SchedulingPolicy = DEFAULT) -> Decision:
    """As ``decide`` for one slot, which may be marked busy or not: what a claim gets; at most one placement.

    After a claim that was lost to another, remove the run from the backlog and ask again.
    """
    return _decide(snapshot, policy, [slot for slot in snapshot.slots if slot.key == key])


def _decide(snapshot: Snapshot, policy: SchedulingPolicy, free: Sequence[SlotState]) -> Decision:
    free = [slot for slot in free if slot.accepts]
    if not len(snapshot.backlog):
        return Decision()
    bindings = bind(snapshot, policy) if policy.binds_early else ()
    if not free:
        return Decision((), bindings)
    ranking = Ranking(snapshot, policy, bindings)
    found = (ranking.take(slot) for slot in free)
    return Decision(tuple(placement for placement in found if placement is not None), bindings)


class Ranking:
    """The order of the queue at one moment, and what has been taken from it since."""

    def __init__(self, snapshot: Snapshot, policy: SchedulingPolicy, bindings: Sequence[Binding] = ()) -> None:
        self._snapshot, self._policy = snapshot, policy
        self._rows = snapshot.backlog.rows()
        self._virtual_wait_s = virtual_waits(snapshot) if policy.inner.ages else np.zeros(len(self._rows.seq))
        self._rank = policy.inner.rank(self._rows.ranked(snapshot.now_s, self._virtual_wait_s), policy.aging)
        self._class = classes(self._rows, snapshot.now_s, policy)
        self.sorted = np.lexsort((self._rows.seq, self._rows.submitted_s, self._rank))
        self._place = np.empty(len(self.sorted), np.int64)
        self._place[self.sorted] = np.arange(len(self.sorted))
        self._bound = _bound(snapshot, self._rows, bindings) if policy.binds_early else None
        self._free_rows = np.ones(len(self.sorted), np.bool_)
        self._teams = snapshot.backlog.teams.things
        uses = snapshot.uses(self._teams, policy.half_life_s)
        self._use_s = np.array([use.weighted_s for use in uses])
        self._spent_s = np.array([use.spent_s for use in uses])
        self._running = np.array([use.running for use in uses])
        self._needs = [int(code) for code in np.unique(self._rows.needs)]  # those that are queued now
        self._lead = self._leads()
        self._class_key = self._class * (len(self._teams) * len(self._place)) + self._place
        self._fitting_rows: dict[bytes, NDArray[np.bool_]] = {}
        self._ready = ~self._rows.backing_off(snapshot.now_s)
        self._all_ready = bool(self._ready.all())
        self.avoidance = Avoidance(snapshot)
        self._limited = any(team in snapshot.quotas for team in self._teams)

    def over_quota(self, team: int) -> str:
        """Which quota keeps the team's runs from starting now; "" if none does."""
        quota = self._snapshot.quota(self._teams[team])
        if quota.running is not None and self._running[team] >= quota.running:
            return f"team {self._teams[team]!r} has {self._running[team]} running; its quota is {quota.running}"
        if quota.device_s is not None and self._spent_s[team] >= quota.device_s:
            spent = f"{self._spent_s[team]:.0f} of {quota.device_s:.0f} device-seconds"
            return f"team {self._teams[team]!r} has used {spent}"
        return ""

    def _leads(self) -> NDArray[np.int64]:
        """Team -> its place among the teams; all 0 without fair share."""
        if not self._policy.is_fair:
            return np.zeros(len(self._teams), np.int64)
        return np.argsort(np.argsort(self._use_s, kind="stable")).astype(np.int64)

    def keys(self) -> NDArray[np.int64]:
        """Run -> a number that sorts the queue: class, team, place in the order."""
        keys: NDArray[np.int64] = self._lead[self._rows.team] * len(self._place)
        keys += self._class_key
        return keys

    def eligible(self, slot: SlotState) -> NDArray[np.bool_]:
        """Which runs could start on the slot now."""
        found = self.fitting(slot)
        if self._limited:
            allowed = np.array([not self.over_quota(team) for team in range(len(self._teams))])
            found = found & allowed[self._rows.team]
        if not self._all_ready:
            found = found & self._ready
        left = self.avoidance.left_by(slot.key.follower)
        if len(left):
            found = found.copy()
            found[left] = False
        if self._bound is not None:
            code = self._snapshot.backlog.slots.known(slot.key)
            found = found & (self._bound == (_NO_SLOT if code is None else code))
        return found

    def fitting(self, slot: SlotState) -> NDArray[np.bool_]:
        """Which runs, of those not taken yet, the slot has everything for; computed once for slots that are alike."""
        things = self._snapshot.backlog.needs.things
        fits = np.zeros(len(things), np.bool_)
        for code in self._needs:
            fits[code] = self._snapshot.fits(things[code], slot)
        known = self._fitting_rows.get(fits.tobytes())
        if known is None:
            known = self._fitting_rows[fits.tobytes()] = fits[self._rows.needs] & self._free_rows
        return known

    def team_of(self, row: int) -> int:
        """Number of the run's team."""
        return int(self._rows.team[row])

    def take(self, slot: SlotState) -> Placement | None:
        """The next run for the slot, taken off the queue and charged to its team."""
        eligible = self.eligible(slot)
        count = int(np.count_nonzero(eligible))
        if not count:
            return None
        keys = self.keys()
        row = int(np.argmin(np.where(eligible, keys, _NEVER)))
        warm = self._warmer(row, slot, eligible, keys)
        placement = self._placement(row if warm is None else warm, slot, count, is_warm=warm is not None)
        self._charge(row if warm is None else warm)
        return placement

    def _warmer(self, best: int, slot: SlotState, eligible: NDArray[np.bool_], keys: NDArray[np.int64]) -> int | None:
        """A run of the same class and team whose set-up the slot saves, if it then ranks no worse than ``best``."""
        if not (self._policy.affinity and self._policy.inner.by_size and slot.warm):
            return None
        affinities = self._snapshot.backlog.affinities
        is_warm = np.zeros(len(affinities.things) + 1, np.bool_)  # one more for those without, coded -1
        is_warm[[code for name in slot.warm if (code := affinities.known(name)) is not None]] = True
        rows = np.flatnonzero(is_warm[self._rows.affinity] & eligible)
        rows = rows[keys[rows] // len(keys) == keys[best] // len(keys)]
        if not len(rows):
            return None
        warmest = int(rows[np.lexsort((self._place[rows], self._warm_rank[rows]))[0]])
        return warmest if self._warm_rank[warmest] <= self._rank[best] else None

    @cached_property
    def _warm_rank(self) -> NDArray[np.float64]:
        """Rank of each run if its set-up is saved."""
        warm = self._rows.ranked(self._snapshot.now_s, self._virtual_wait_s, self._rows.setup_s)
        return self._policy.inner.rank(warm, self._policy.aging)

    def _charge(self, row: int) -> None:
        team, seconds = int(self._rows.team[row]), float(self._rows.predicted_s[row])
        self._free_rows[row] = False
        for rows in self._fitting_rows.values():
            rows[row] = False
        self._running[team] += 1
        self._spent_s[team] += seconds
        if self._policy.is_fair:
            self._use_s[team] += seconds / self._snapshot.quota(self._teams[team]).weight
            self._lead = self._leads()

    def _placement(self, row: int, slot: SlotState, eligible: int, *, is_warm: bool) -> Placement:
        reasons = [*self.reasons(row), Reason("eligible", eligible, "runs that this slot could start")]
        if is_warm:
            saved_s = float(self._rows.setup_s[row])
            reasons.append(Reason("warm", saved_s, f"the slot is warm for it: {saved_s:.1f} s of set-up are saved"))
        return Placement(self._snapshot.backlog.at(row).run_id, slot.key, tuple(reasons))

    def reasons(self, row: int) -> tuple[Reason, ...]:
        """The parts of a run's rank, the weightiest first."""
        run = self._snapshot.backlog.at(row)
        waited_s = max(self._snapshot.now_s - run.submitted_s, 0.0)
        name = next(name for name, rank in CLASSES.items() if rank == self._class[row])
        promoted = "" if name == run.priority else f", raised from {run.priority} by waiting"
        found = [Reason("class", name, f"priority class {name}{promoted}")]
        if self._policy.is_fair:
            used_s = float(self._use_s[self._rows.team[row]])
            found.append(Reason("team-use", used_s, f"team {run.team!r} has used {used_s:.0f} weighted device-seconds"))
        unit = self._policy.inner.unit
        found.append(Reason("rank", float(self._rank[row]), f"{self._rank[row]:.1f} {unit}; smaller goes first"))
        found.append(Reason("predicted", run.predicted_s, f"predicted to take {run.predicted_s:.1f} s"))
        found.append(Reason("waited", waited_s, f"has waited {waited_s:.1f} s"))
        return tuple(found)


def classes(rows: Rows, now_s: float, policy: SchedulingPolicy) -> NDArray[np.int64]:
    """Rank of each run's class, raised by one per ``promotion_s`` waited, never to urgent."""
    steps = np.floor(np.maximum(now_s - rows.submitted_s, 0.0) / policy.promotion_s).astype(np.int64)
    raised: NDArray[np.int64] = np.minimum(rows.class_rank, np.maximum(rows.class_rank - steps, _HIGHEST_BY_WAITING))
    return raised


def _bound(snapshot: Snapshot, rows: Rows, bindings: Sequence[Binding]) -> NDArray[np.int64]:
    """Where each run is bound, with the bindings that are new."""
    bound = rows.bound.copy()
    for binding in bindings:
        bound[snapshot.backlog.row_of(binding.run_id)] = snapshot.backlog.slots.of(binding.slot)
    return bound
