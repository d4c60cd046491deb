"""How the queue is ordered: what an administrator set, as every leader follows it within two seconds."""

from typing import Final

import structlog
from pydantic import ValidationError

from leader.manage.lineup import Lineup
from leader.perfdb.protocol import SettingsStore
from shared.clock import Clock
from shared.errors import InvalidInput
from shared.scheduling.policy import ORDER_NAMES, PLACEMENTS, SchedulingPolicy
from shared.scheduling.snapshot import Quota
from shared.wire.scheduling import SchedulingSettings, SchedulingView

NAME: Final = "scheduling"
FRESH_NS: Final = 2_000_000_000

log = structlog.get_logger(__name__)


class Scheduling:
    """The settings, as policy and quotas."""

    def __init__(self, settings: SettingsStore, lineup: Lineup, clock: Clock) -> None:
        self._store = settings
        self._lineup = lineup
        self._clock = clock
        self._settings = SchedulingSettings()
        self._read_at_ns: int | None = None
        self.policy = SchedulingPolicy()
        self.quotas: dict[str, Quota] = {}

    @property
    def settings(self) -> SchedulingSettings:
        """In force, as of the last ``refresh``."""
        return self._settings

    async def refresh(self) -> None:
        """Be no older than two seconds. Raises Unavailable."""
        now_ns = self._clock.monotonic_ns()
        if self._read_at_ns is None or now_ns - self._read_at_ns >= FRESH_NS:
            stored = await self._store.get(NAME)
            if stored is not None:
                self._follow_stored(stored)
            self._read_at_ns = now_ns

    def _follow_stored(self, stored: dict[str, object]) -> None:
        """Settings of another version that this one cannot follow leave things as they are."""
        try:
            self._follow(SchedulingSettings.model_validate(stored))
        except (ValidationError, InvalidInput) as error:
            log.warning("scheduling.settings_unusable", reason=str(error))

    def _follow(self, settings: SchedulingSettings) -> None:
        self.policy = settings.to_policy()
        self.quotas = {team: quota.to_quota() for team, quota in settings.quotas.items()}
        self._settings = settings

    async def show(self) -> SchedulingView:
        """What is in force. Raises Unavailable."""
        await self.refresh()
        await self._lineup.look()
        return SchedulingView(
            settings=self._settings, placements=dict(PLACEMENTS), orders=ORDER_NAMES, notices=self._notices()
        )

    async def put(self, settings: SchedulingSettings) -> SchedulingView:
        """From now on these. What runs goes on, whatever the new quotas are.

        Raises:
            InvalidInput: no such placement or order; the known ones are listed.
            Unavailable.
        """
        settings.to_policy()
        await self._store.put(NAME, settings.model_dump(mode="json"))
        self._follow(settings)
        self._read_at_ns = self._clock.monotonic_ns()
        log.info("scheduling.set", policy=self.policy.name, quotas=len(self.quotas))
        return await self.show()

    def _notices(self) -> tuple[str, ...]:
        found = []
        for team, quota in sorted(self.quotas.items()):
            running = sum(run.team == team for run in self._lineup.live)
            queued = self._lineup.queued_by(team)
            if quota.running is not None and running > quota.running:
                found.append(f"team {team!r} has {running} running, above its quota of {quota.running}: they go on")
            if quota.queued is not None and queued > quota.queued:
                found.append(f"team {team!r} has {queued} queued, above its quota of {quota.queued}: they stay")
        return tuple(found)
