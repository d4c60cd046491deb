"""Followers in virtual time: runs arrive, the live policy places them, they end, followers die and come back.

The simulator and the forecast of a waiting run's start drive this; it decides nothing itself.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from heapq import heappop, heappush
from math import inf
from typing import Final, NamedTuple

import numpy as np

from shared.jobs.lifecycle import backoff
from shared.scheduling.avoidance import AVOID_S
from shared.scheduling.backlog import Backlog, Queued, SlotKey
from shared.scheduling.decide import Decision, decide
from shared.scheduling.policy import SchedulingPolicy
from shared.scheduling.snapshot import UNUSED, Fits, Occupant, Quota, SlotState, Snapshot, TeamUse
from shared.scheduling.utilisation import idle_with_work

REQUEUE_S: Final = 20.0
"""Seconds from a follower's death to its run being queued again: about what a lease and its grace take."""

_ARRIVES, _ENDS, _DIES, _RETURNS, _WAKES = range(5)


class _Event(NamedTuple):
    at_s: float
    n: int  # in order of being foreseen: decides between events of one moment
    kind: int
    subject: Queued | SlotKey | None  # None: nothing but time has passed
    start: int = 0  # which start of the slot is meant: an end that a death has overtaken means none


class Ended(NamedTuple):
    """One run's way through the cluster."""

    run_id: str
    started_s: float  # of the attempt that ended it
    ended_s: float


@dataclass
class Cluster:
    """Slots, queue and clock. ``true_s`` says how long a run really takes; the policy sees predictions only."""

    policy: SchedulingPolicy
    slots: dict[SlotKey, SlotState]
    fits: Fits
    true_s: Mapping[str, float]
    backlog: Backlog = field(default_factory=Backlog)
    use: dict[str, TeamUse] = field(default_factory=dict)
    quotas: Mapping[str, Quota] = field(default_factory=dict)
    now_s: float = 0.0
    bound_so_far: int = 0
    idle_while_waiting_s: float = 0.0  # slot-seconds
    wasted_s: float = 0.0  # slot-seconds of attempts that a death cut off
    _events: list[_Event] = field(default_factory=list)
    _n: int = 0
    _down: dict[SlotKey, SlotState] = field(default_factory=dict)
    _runs: dict[SlotKey, Queued] = field(default_factory=dict)
    _starts: dict[SlotKey, int] = field(default_factory=dict)
    _failures: Counter[str] = field(default_factory=Counter)  # by run
    _idle: int = 0

    def __post_init__(self) -> None:
        rows = self.backlog.rows()
        for row in np.flatnonzero((rows.not_before_s > self.now_s) | (rows.avoid >= 0)):
            self._wake_for(self.backlog.at(int(row)))

    def arrive(self, run: Queued, at_s: float) -> None:
        """The run will be queued at ``at_s``."""
        self._foresee(at_s, _ARRIVES, run)

    def die(self, key: SlotKey, at_s: float, returns_s: float) -> None:
        """The slot's follower will be gone from ``at_s`` to ``returns_s``."""
        self._foresee(at_s, _DIES, key)
        self._foresee(returns_s, _RETURNS, key)

    def hold(self, slot: SlotState, rest_s: float) -> None:
        """The slot is busy already, for ``rest_s`` more."""
        self.slots[slot.key] = slot
        self._foresee(self.now_s + rest_s, _ENDS, slot.key)

    def snapshot(self) -> Snapshot:
        """What the policy sees."""
        return Snapshot(
            now_s=self.now_s,
            backlog=self.backlog,
            slots=list(self.slots.values()),
            use=self.use,
            quotas=self.quotas,
            fits=self.fits,
            bound_so_far=self.bound_so_far,
        )

    def advance(self) -> list[Ended] | None:
        """On to the next moment at which something happens; what ended then, None where nothing is to come."""
        if not self._events:
            return None
        at_s = self._events[0].at_s
        self.idle_while_waiting_s += self._idle * (at_s - self.now_s)
        self.now_s = at_s
        ended: list[Ended] = []
        while self._events and self._events[0].at_s == at_s:
            ended += self._happen(heappop(self._events))
        return ended

    def settle(self) -> list[Ended]:
        """Places what can be placed now; the placed runs, with the ends that they will have if nothing dies."""
        started = self._apply(decide(self.snapshot(), self.policy))
        self._idle = len(idle_with_work(self.snapshot()))
        return started

    def _apply(self, decision: Decision) -> list[Ended]:
        for binding in decision.bindings:
            self.backlog.bind(binding.run_id, binding.slot)
        self.bound_so_far += len(decision.bindings)
        return [self._start(self.backlog.remove(p.run_id), p.slot) for p in decision.placements]

    def _start(self, run: Queued, key: SlotKey) -> Ended:
        slot = self.slots[key]
        true_s, predicted_s = self.true_s[run.run_id], run.predicted_s
        if run.affinity in slot.warm and not run.cold_start_measured:
            true_s, predicted_s = max(true_s - run.setup_s, 0.0), max(predicted_s - run.setup_s, 0.0)
        occupant = Occupant(
            run_id=run.run_id, team=run.team, started_s=self.now_s, predicted_end_s=self.now_s + predicted_s
        )
        warm = frozenset({run.affinity}) if run.affinity else slot.warm
        self.slots[key] = replace(slot, occupant=occupant, warm=warm)
        self._runs[key] = run
        self._starts[key] = self._starts.get(key, 0) + 1
        self._foresee(self.now_s + true_s, _ENDS, key, self._starts[key])
        return Ended(run.run_id, self.now_s, self.now_s + true_s)

    def _happen(self, event: _Event) -> Iterable[Ended]:
        subject = event.subject
        if subject is None:
            return ()
        if isinstance(subject, Queued):
            self.backlog.add(subject)
            self._wake_for(subject)
        elif event.kind == _ENDS and event.start == self._starts.get(subject, 0) and subject in self.slots:
            return self._end(subject)
        elif event.kind == _DIES and subject in self.slots:
            self._die(subject)
        elif event.kind == _RETURNS and subject in self._down:
            self.slots[subject] = self._down.pop(subject)
        return ()

    def _end(self, key: SlotKey) -> list[Ended]:
        slot = self.slots[key]
        if slot.occupant is None:
            return []
        self._runs.pop(key, None)
        self.slots[key] = replace(slot, occupant=None)
        run = slot.occupant
        used = self.use.get(run.team, UNUSED)
        self.use[run.team] = used.plus(self.now_s - run.started_s, self.now_s, self.policy.half_life_s)
        return [Ended(run.run_id, run.started_s, self.now_s)]

    def _die(self, key: SlotKey) -> None:
        """What ran there is queued again, with the age that it had; it backs off and goes elsewhere first."""
        slot = self.slots.pop(key)
        self._down[key] = replace(slot, occupant=None, warm=frozenset())
        self._starts[key] = self._starts.get(key, 0) + 1
        run = self._runs.pop(key, None)
        if run is not None and slot.occupant is not None:
            self.wasted_s += self.now_s - slot.occupant.started_s
            self._failures[run.run_id] += 1
            again_s = self.now_s + REQUEUE_S
            again = replace(
                run,
                bound_to=None,
                not_before_s=again_s + backoff(self._failures[run.run_id]).total_seconds(),
                avoid=tuple(dict.fromkeys((*run.avoid, key.follower))),
            )
            self._foresee(again_s, _ARRIVES, again)

    def _wake_for(self, run: Queued) -> None:
        """At these moments the run becomes eligible, or for more followers, although nothing else happens."""
        for at_s in (run.not_before_s, run.not_before_s + AVOID_S if run.avoid else -inf):
            if at_s > self.now_s:
                self._foresee(at_s, _WAKES, None)

    def _foresee(self, at_s: float, kind: int, subject: Queued | SlotKey | None, start: int = 0) -> None:
        self._n += 1
        heappush(self._events, _Event(at_s, self._n, kind, subject, start))
