"""What ended runs took: for fair shares and quotas by team, and for predictions. Derived, so it can be done again.

Every leader keeps the newest entries in memory and reads what others added; its own are there at once.
"""

import heapq
import itertools
from datetime import datetime, timedelta
from typing import Final

from leader.manage.clocks import on_our_clock
from leader.manage.story import CLAIMED
from leader.perfdb.entities import Event, Evidence, Run, Spent
from leader.perfdb.protocol import EventStore, SpentStore
from shared.clock import Clock
from shared.jobs.spec import RunSpec
from shared.scheduling.estimate import window_s
from shared.scheduling.setup_times import Observed, SetupTimes, served_of, split_overhead
from shared.scheduling.snapshot import TeamUse

KEPT: Final = 20_000
"""Ended runs that count; older ones have no say in shares and predictions."""

OVERLAP: Final = timedelta(seconds=60)
"""How far behind the newest entry each look goes back: other leaders' clocks and writes may be late by so much."""

QUOTA_PERIOD: Final = timedelta(days=1)
"""The device-seconds of a team's quota are those of runs that ended within this time."""

SUMMED_EVERY_NS: Final = 10_000_000_000
"""Between two sums there is decay and what is new is added; only what leaves the quota's period is late."""

LOAD_BEGAN: Final = ("warming-up", "measuring")
_STORY: Final = 100  # events of an attempt in which the load begins


class Ledger:
    """Notes what runs took, and answers from it."""

    def __init__(self, spent: SpentStore, events: EventStore, clock: Clock) -> None:
        self._spent = spent
        self._events = events
        self._clock = clock
        self._kept: dict[str, Spent] = {}
        self.learnt = SetupTimes()
        self._use: dict[str, TeamUse] = {}
        self._use_half_life_s = 0.0
        self._use_until_ns = 0

    async def refresh(self) -> None:
        """Take in what is new in the store. Raises Unavailable."""
        newest = max((spent.ended_at for spent in self._kept.values()), default=None)
        since = None if newest is None else newest - OVERLAP
        for spent in reversed(await self._spent.newest(since=since, limit=KEPT)):
            self._take(spent)

    async def note(self, run: Run, evidence: Evidence | None = None) -> None:
        """Store what a run took that has ended, with the evidence of its success. Raises Unavailable."""
        spent = spent_by(run, evidence, await self._story(run) if evidence else [])
        if spent is not None:
            await self._spent.put(spent)
            self._take(spent)

    async def watch(self, run: Run) -> None:
        """A run moved. What one took that ended without a record counts at once; the reconciler stores it."""
        if run.status.state.is_terminal and not run.status.state.has_record:
            spent = spent_by(run, None, [])
            if spent is not None:
                self._take(spent)

    async def _story(self, run: Run) -> list[Event]:
        return await self._events.after(run.id, (claim_of(run), 0), limit=_STORY)

    def _take(self, spent: Spent) -> None:
        if spent.run_id in self._kept:
            return
        self._kept[spent.run_id] = spent
        if self._use_until_ns:
            use, now_s = self._use.get(spent.team, TeamUse()), self._clock.utc_now().timestamp()
            self._use[spent.team] = use.plus(spent.occupied_s, now_s, self._use_half_life_s)
        if spent.setup_s is not None and spent.collection_s is not None:
            self.learnt.add(
                Observed(
                    served=spent.served,
                    follower=spent.follower,
                    setup_s=spent.setup_s,
                    collection_s=spent.collection_s,
                )
            )
        if len(self._kept) > 2 * KEPT:
            newest = heapq.nlargest(KEPT, self._kept.values(), key=lambda one: one.ended_at)
            self._kept = {one.run_id: one for one in reversed(newest)}

    def use(self, half_life_s: float) -> dict[str, TeamUse]:
        """Team -> what its ended runs took: decayed up to now, and within the quota's period."""
        now_ns = self._clock.monotonic_ns()
        if half_life_s != self._use_half_life_s or now_ns >= self._use_until_ns:
            self._use, self._use_half_life_s = self._summed(half_life_s), half_life_s
            self._use_until_ns = now_ns + SUMMED_EVERY_NS
        return self._use

    def _summed(self, half_life_s: float) -> dict[str, TeamUse]:
        now = self._clock.utc_now()
        decayed: dict[str, float] = {}
        spent: dict[str, float] = {}
        for one in self._kept.values():
            age_s = max(0.0, (now - one.ended_at).total_seconds())
            decayed[one.team] = decayed.get(one.team, 0.0) + one.occupied_s * 0.5 ** (age_s / half_life_s)
            if age_s <= QUOTA_PERIOD.total_seconds():
                spent[one.team] = spent.get(one.team, 0.0) + one.occupied_s
        return {
            team: TeamUse(decayed_s=decayed[team], as_of_s=now.timestamp(), spent_s=spent.get(team, 0.0))
            for team in decayed
        }

    def ended_since(self, since: datetime) -> list[Spent]:
        """What runs took that ended since then, as far as it is kept; in no order."""
        return [one for one in self._kept.values() if one.ended_at >= since]

    def succeeded(self) -> list[Spent]:
        """What runs took that succeeded, in the order in which they came to be known."""
        return [one for one in self._kept.values() if one.setup_s is not None and one.last_s > 0]


def claim_of(run: Run) -> int:
    """The fence of the run's last claim; 0 where it was never claimed."""
    return max((event.fence for event in run.history if event.kind == CLAIMED), default=0)


def occupations_s(run: Run) -> list[float]:
    """Seconds of each ended attempt, from its claim to the event that ended it, by the leader's clock. Pure."""
    events = sorted(run.history, key=lambda event: event.position)
    pairs = itertools.pairwise(events)
    return [max(0.0, (end.at - begin.at).total_seconds()) for begin, end in pairs if begin.kind == CLAIMED]


def spent_by(run: Run, evidence: Evidence | None, story: list[Event]) -> Spent | None:
    """What the run took; None where it was never claimed or has not ended. ``story``: its last attempt's. Pure."""
    occupations = occupations_s(run)
    if not occupations or not run.status.state.is_terminal or run.follower is None:
        return None
    spec = RunSpec.model_validate(run.spec)
    setup_s, collection_s = _parts(spec, occupations[-1], evidence, story)
    return Spent(
        run_id=run.id,
        team=run.team,
        follower=run.follower,
        served=run.served or served_of(spec),
        occupied_s=sum(occupations),
        last_s=occupations[-1],
        predicted_s=run.predicted_s,
        predicted_p90_s=run.predicted_p90_s,
        setup_s=setup_s,
        collection_s=collection_s,
        submitted_at=run.created_at,
        device=spec.service.device,
        ended_at=_ended_at(run),
    )


def _ended_at(run: Run) -> datetime:
    return max(run.history, key=lambda event: event.position).at


def _parts(
    spec: RunSpec, occupied_s: float, evidence: Evidence | None, story: list[Event]
) -> tuple[float | None, float | None]:
    """Set-up and collection. Both stamps are the follower's, set right alike: their difference needs no right clock."""
    began = next((event.at for event in story if event.kind in LOAD_BEGAN), None)
    if evidence is None or evidence.result.outcome.kind != "success" or began is None:
        return None, None
    started_at = on_our_clock(evidence.result.outcome.record.started_at, evidence.clock_offset_s)
    said_s = (began - started_at).total_seconds()
    return split_overhead(occupied_s, window_s(spec), said_s)
