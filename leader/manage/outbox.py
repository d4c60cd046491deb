"""Announces what was accepted: derived from what is stored, by whichever leader, at least once, in no submit's way.

A submit announces its own job at once, after it is stored. This is for what no submit here announced: jobs of other
leaders, which this one's line-up should know within a second however long the queue is, and jobs whose leader died
between storing and ringing. A leader that is alone has nothing to read after its first round. To announce twice costs
two questions of followers; so nothing here needs to be exact.
"""

from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Final

import structlog

from leader.broker.protocol import Bell
from leader.manage.cursor import Cursor
from leader.manage.lineup import Lineup
from leader.manage.policy import LeasePolicy
from leader.manage.presence import Presence
from leader.manage.roster import Roster
from leader.manage.views import is_alive
from leader.perfdb.entities import AcceptedJob, Job
from leader.perfdb.protocol import JobStore, RunStore
from shared.clock import Clock
from shared.scheduling.needs import Needs

EVERY_S: Final = 1.0
REST: Final = 120
"""A round is repeated after 120 times as long as reading the accepted jobs took: the embedded database, which needs
0.1 ms for each and answers nobody else meanwhile, is kept from one submit in a hundred at most."""

PAGE: Final = 500

log = structlog.get_logger(__name__)


class Outbox:
    """The thin loop around ``Cursor``."""

    def __init__(
        self,
        *,
        jobs: JobStore,
        runs: RunStore,
        presence: Presence,
        lineup: Lineup,
        roster: Roster,
        bell: Bell,
        clock: Clock,
        policy: LeasePolicy,
    ) -> None:
        self._jobs = jobs
        self._runs = runs
        self._presence = presence
        self._lineup = lineup
        self._roster = roster
        self._bell = bell
        self._clock = clock
        self._policy = policy
        self._cursor = Cursor(clock.utc_now())
        self._is_behind = True  # there may be something that no whole round has read
        self._next_read_ns = 0

    def announcing(self, job: Job) -> AbstractContextManager[None]:
        """Inside, the caller stores the job and rings for it; where that fails, the next round does."""
        return self._cursor.announcing(AcceptedJob(id=job.id, run_count=job.run_count))

    async def run_once(self) -> int:
        """One round, unless the last one was long and just now; how many jobs it announced. Raises Unavailable."""
        began_at, began_ns = self._clock.utc_now(), self._clock.monotonic_ns()
        self._is_behind |= not await self._presence.is_alone()
        if self._is_behind and began_ns < self._next_read_ns:
            return 0
        accepted = await self._accepted() if self._is_behind else []
        looked = [await self._look(job) for job in self._cursor.due(accepted)]
        await self._ring(needs for look in looked if look.is_news for needs in look.needs)
        for look in looked:
            (self._cursor.announced if look.is_complete else self._cursor.came_short)(look.job)
        self._cursor.end_round(began_at)
        self._is_behind = False
        announced = [look.job.id for look in looked if look.is_complete]
        if announced:
            log.info("jobs.announced", count=len(announced), newest=announced[-1])
        return len(announced)

    async def _accepted(self) -> list[AcceptedJob]:
        began_ns, after = self._clock.monotonic_ns(), self._cursor.after
        found: list[AcceptedJob] = []
        while page := await self._jobs.accepted(after=after, limit=PAGE):
            found += page
            after = page[-1].id
            if len(page) < PAGE:
                break
        self._next_read_ns = began_ns + REST * (self._clock.monotonic_ns() - began_ns)
        return found

    async def _look(self, job: AcceptedJob) -> "_Look":
        """What waits of the job, which from now on waits in our line-up, too; what does already need not be read."""
        known = self._lineup.known_of(job.id, job.run_count)
        if known is not None:
            return _Look(job, {run.needs for run in known}, is_complete=True, is_news=True)
        stored, waiting = await self._runs.waiting_of(job.id)
        joined = self._lineup.join(waiting)
        is_complete = stored >= job.run_count
        return _Look(job, {run.needs for run in waiting}, is_complete=is_complete, is_news=joined > 0 or is_complete)

    async def _ring(self, wanted: Iterable[Needs]) -> None:
        """Each live follower once that could run something of what is wanted."""
        distinct = set(wanted)
        if not distinct:
            return
        now, lease = self._clock.utc_now(), self._policy.lease
        slots = self._lineup.slots([each for each in await self._roster.recent() if is_alive(each, now, lease)])
        fits = self._lineup.fits
        able = {slot.key.follower for slot in slots if slot.accepts and any(fits(needs, slot) for needs in distinct)}
        for follower in sorted(able):
            self._bell.ring(follower)


@dataclass(frozen=True)
class _Look:
    job: AcceptedJob
    needs: set[Needs]  # of what waits
    is_complete: bool
    is_news: bool  # to this leader, or to followers
