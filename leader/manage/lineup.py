"""The queue and what runs, in memory, so that ten thousand queued runs are ranked without being read.

PerfDB stays the truth: a claim still is one compare-and-set there. What moves through this leader is here at once;
what moves through others, at the next look. A run that is no longer queued costs whoever chose it one lost race.
"""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

import numpy as np

from leader.manage.ledger import Ledger
from leader.manage.story import claimed_at
from leader.perfdb.entities import Follower, Run, WaitingRun
from leader.perfdb.protocol import RunStore
from shared.clock import Clock
from shared.jobs import ids
from shared.jobs.lifecycle import RunState
from shared.scheduling.backlog import Backlog, Queued, SlotKey
from shared.scheduling.binding import Binding
from shared.scheduling.setup_times import Served, SetupTimes
from shared.scheduling.snapshot import Occupant, RememberedFits, SlotState

MOST_WAITING: Final = 100_000
"""Queued runs that are ranked; of a longer queue the last classes and the longest runs come later."""

FRESH_NS: Final = 1_000_000_000
REST: Final = 120
"""A look is repeated after 120 times as long as it took: some servers answer nobody meanwhile, and one claim in a
hundred at most is to wait for that. Reading 10,000 queued runs takes the embedded database about a second."""

SMALL: Final = 500
"""A queue of so many runs is looked at again while the caller waits; a longer one behind its back."""


@dataclass
class _News:
    """What moved while a look was under way: it is newer than what the look brings."""

    added: dict[str, Queued] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)
    live: dict[str, Run | None] = field(default_factory=dict)


class Lineup:
    """Who waits and who runs."""

    def __init__(self, runs: RunStore, ledger: Ledger, clock: Clock) -> None:
        self._runs = runs
        self._ledger = ledger
        self._clock = clock
        self._live: dict[str, Run] = {}
        self._fences: dict[str, int] = {}  # of queued runs: one that came back is another entry
        self._news: _News | None = None
        self._reading: asyncio.Task[None] | None = None
        self._next_look_ns: int | None = None
        self.bound_so_far = 0
        self.backlog = Backlog()
        self.fits = RememberedFits()

    async def look(self) -> None:
        """Be no older than a second, or than ``REST`` times what a look takes. Raises Unavailable."""
        if self._next_look_ns is None or len(self.backlog) <= SMALL:
            if self._next_look_ns is None or self._clock.monotonic_ns() >= self._next_look_ns:
                await self.look_now()
        elif self._clock.monotonic_ns() >= self._next_look_ns:
            self._start_reading()

    async def look_now(self) -> None:
        """Read who waits and who runs; a reading that is under way will do. Raises Unavailable."""
        await asyncio.shield(self._start_reading())

    def _start_reading(self) -> "asyncio.Task[None]":
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(self._read())
            self._reading.add_done_callback(_forgive)
        return self._reading

    async def _read(self) -> None:
        began_ns = self._clock.monotonic_ns()
        self._next_look_ns = began_ns + FRESH_NS if self._next_look_ns is not None else None
        news = self._news = _News()
        try:
            waiting = await self._runs.waiting(limit=MOST_WAITING)
            live = await self._runs.leased()
        finally:
            self._news = None
        await self._take_waiting(waiting, news)
        self._live = {run.id: run for run in live}
        for run_id, run in news.live.items():
            self._set_live(run_id, run)
        ended_ns = self._clock.monotonic_ns()
        rest_ns = REST * (ended_ns - began_ns) if len(self.backlog) > SMALL else 0
        self._next_look_ns = ended_ns + max(FRESH_NS, rest_ns)

    async def _take_waiting(self, waiting: list[WaitingRun], news: _News) -> None:
        """Only what differs is touched."""
        there = {run.id for run in waiting} | news.added.keys()
        for run_id in [run.run_id for run in self.backlog if run.run_id not in there]:
            self._drop(run_id)
        for run in waiting:
            if run.id not in news.gone and run.id not in news.added and self._fences.get(run.id) != run.fence:
                self._put(queued_of(run, self._ledger.learnt), run.fence)

    async def store(self, runs: Sequence[Run]) -> None:
        """Store new runs, which wait from now on. Raises Unavailable."""
        await self._runs.add_all(runs)
        for run in runs:
            if run.id not in self.backlog and run.id not in self._live:
                self.moved(run)

    def join(self, waiting: Iterable[WaitingRun]) -> int:
        """Runs that another leader stored wait here, too; how many were news. One that moved on costs a lost race."""
        news = [run for run in waiting if run.id not in self.backlog and run.id not in self._live]
        for run in news:
            self.put_back((queued_of(run, self._ledger.learnt), run.fence))
        return len(news)

    def known_of(self, job_id: str, run_count: int) -> list[Queued] | None:
        """Those that wait of a job whose first runs all wait or run here; None where some are not known here."""
        run_ids = [ids.run_id(job_id, index) for index in range(run_count)]
        if not all(run_id in self.backlog or run_id in self._live for run_id in run_ids):
            return None
        return [self.backlog[run_id] for run_id in run_ids if run_id in self.backlog]

    def queued_by(self, team: str) -> int:
        """How many runs of the team wait."""
        rows, code = self.backlog.rows(), self.backlog.teams.known(team)
        return 0 if code is None else int((rows.team == code).sum())

    def past_deadline(self, now: datetime) -> list[str]:
        """Runs that wait although their deadline has passed."""
        if not len(self.backlog):
            return []
        late = np.flatnonzero(self.backlog.rows().deadline_s <= now.timestamp())
        return [self.backlog.at(int(row)).run_id for row in late]

    @property
    def live(self) -> list[Run]:
        """What is claimed or runs."""
        return list(self._live.values())

    def moved(self, run: Run) -> None:
        """The run is now as it says."""
        if run.status.state is RunState.QUEUED:
            queued = queued_of(waiting_of(run), self._ledger.learnt)
            self._put(queued, run.status.fence)
            if self._news:
                self._news.added[run.id] = queued
                self._news.gone.discard(run.id)
        else:
            self.drop(run.id)
        live = run if run.status.state.is_leased else None
        self._set_live(run.id, live)
        if self._news:
            self._news.live[run.id] = live

    def drop(self, run_id: str) -> None:
        """It does not wait any more, or somebody is about to take it."""
        self._drop(run_id)
        if self._news:
            self._news.gone.add(run_id)
            self._news.added.pop(run_id, None)

    def take(self, run_id: str) -> tuple[Queued, int]:
        """Somebody is about to claim it: nobody else here shall try. What ``put_back`` takes, should that fail."""
        entry = self.backlog[run_id], self._fences.get(run_id, 0)
        self.drop(run_id)
        return entry

    def put_back(self, entry: tuple[Queued, int]) -> None:
        """It was not claimed after all."""
        queued, fence = entry
        if queued.run_id not in self.backlog:
            self._put(queued, fence)
            if self._news:
                self._news.added[queued.run_id] = queued
                self._news.gone.discard(queued.run_id)

    async def bind(self, bindings: Sequence[Binding]) -> None:
        """Keep where runs wait from now on. Raises Unavailable."""
        by_slot: dict[SlotKey, list[str]] = {}
        self.bound_so_far += len(bindings)
        for binding in bindings:
            self.backlog.bind(binding.run_id, binding.slot)
            by_slot.setdefault(binding.slot, []).append(binding.run_id)
        for slot, run_ids in by_slot.items():
            await self._runs.bind(run_ids, slot)

    def _put(self, queued: Queued, fence: int) -> None:
        self._drop(queued.run_id)
        self.backlog.add(queued)
        self._fences[queued.run_id] = fence

    def _drop(self, run_id: str) -> None:
        if run_id in self.backlog:
            self.backlog.remove(run_id)
        self._fences.pop(run_id, None)

    def _set_live(self, run_id: str, run: Run | None) -> None:
        if run is None:
            self._live.pop(run_id, None)
        else:
            self._live[run_id] = run

    def slots(self, followers: list[Follower]) -> list[SlotState]:
        """The slots of these followers, with what they are busy with."""
        busy = {
            SlotKey(run.status.lease.follower, run.status.lease.slot): run
            for run in self._live.values()
            if run.status.lease
        }
        return [state for follower in followers for state in self._slots_of(follower, busy)]

    def _slots_of(self, follower: Follower, busy: dict[SlotKey, Run]) -> list[SlotState]:
        registration = follower.registration
        warm = frozenset(map(affinity_of, self._ledger.learnt.warm_on(registration.name)))
        states = []
        for slot in registration.slots:
            key = SlotKey(registration.name, slot.name)
            states.append(
                SlotState(
                    key=key,
                    slot=slot,
                    capabilities=registration.capabilities,
                    generation=registration.incarnation,
                    occupant=occupant_of(busy[key]) if key in busy else None,
                    warm=warm,
                    accepts=not follower.cordoned,
                )
            )
        return states


def _forgive(task: "asyncio.Task[None]") -> None:
    """A look that fails behind everybody's back is repeated; whoever waits for one is told."""
    if not task.cancelled():
        task.exception()


def affinity_of(served: Served | None) -> str:
    """What makes a follower warm for another run; "" where that is not known."""
    return f"{served.platform} {served.model}" if served else ""


def waiting_of(run: Run) -> WaitingRun:
    """What scheduling needs of the run."""
    return WaitingRun(
        id=run.id,
        job_id=run.job_id,
        team=run.team,
        priority=run.priority,
        predicted_s=run.predicted_s,
        predicted_p90_s=run.predicted_p90_s,
        needs=run.needs,
        served=run.served,
        fence=run.status.fence,
        deadline_at=run.deadline_at,
        not_before=run.status.not_before,
        avoid=run.status.avoid,
        created_at=run.created_at,
    )


def queued_of(run: WaitingRun, learnt: SetupTimes) -> Queued:
    """As policies take it. Runs of one submit stand in the order of their index: their ids say it."""
    return Queued(
        run_id=run.id,
        job_id=run.job_id,
        team=run.team,
        predicted_s=max(run.predicted_s, 0.001),
        predicted_p90_s=run.predicted_p90_s,
        submitted_s=run.created_at.timestamp(),
        seq=_seq(run.id),
        priority=run.priority,
        needs=run.needs,
        deadline_s=run.deadline_at.timestamp() if run.deadline_at else float("inf"),
        affinity=affinity_of(run.served),
        setup_s=learnt.saved_s(run.served) if run.served else 0.0,
        bound_to=run.bound_to,
        not_before_s=run.not_before.timestamp() if run.not_before else float("-inf"),
        avoid=run.avoid,
    )


def _seq(run_id: str) -> int:
    index = run_id.rpartition(".")[2]
    return int(index) if index.isdecimal() else 0


def occupant_of(run: Run) -> Occupant:
    """What a slot is busy with."""
    started_s = claimed_at(run).timestamp()
    return Occupant(
        run_id=run.id, team=run.team, started_s=started_s, predicted_end_s=started_s + max(run.predicted_s, 0.001)
    )
