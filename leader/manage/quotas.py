"""What a team may put into the queue. How much of it runs is the policy's business at every claim."""

from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from leader.manage.lineup import Lineup
from leader.manage.scheduling import Scheduling
from shared.errors import Problem, QuotaExceeded


class Quotas:
    """Keeps submits that come at once from passing a limit together."""

    def __init__(self, scheduling: Scheduling, lineup: Lineup) -> None:
        self._scheduling = scheduling
        self._lineup = lineup
        self._coming: Counter[str] = Counter()  # team -> runs that are being stored

    @asynccontextmanager
    async def room_for(self, team: str, runs: int) -> AsyncGenerator[None]:
        """While the runs are stored, they count already.

        Raises:
            QuotaExceeded: with them the team has more queued than it may.
            Unavailable.
        """
        await self._scheduling.refresh()
        quota = self._scheduling.quotas.get(team)
        if quota is not None and quota.queued is not None:
            await self._lineup.look()
            queued = self._lineup.queued_by(team) + self._coming[team]
            if queued + runs > quota.queued:
                raise exceeded(team, queued, runs, quota.queued)
        self._coming[team] += runs
        try:
            yield
        finally:
            self._coming[team] -= runs


def exceeded(team: str, queued: int, runs: int, allowed: int) -> QuotaExceeded:
    """In the words of the job file."""
    message = f"team {team!r} has {queued} runs queued; {runs} more would pass its quota of {allowed}"
    problem = Problem(message=message, path="team", found=str(queued + runs), allowed=f"at most {allowed}")
    return QuotaExceeded(f"{message}; submit again when some have run", problems=[problem])
