"""Takes conversions back from converters that went silent, by this leader's own monotonic clock: see ``Vigil``."""

from typing import Final

import structlog

from leader.broker.protocol import Bell
from leader.manage.conversion_moves import ConversionMover
from leader.manage.conversions import CONVERTERS, has_result
from leader.manage.policy import LeasePolicy
from leader.manage.vigil import Vigil
from leader.perfdb.entities import Conversion, HeldLease
from leader.perfdb.protocol import ConversionStore
from model_repo.protocol import ModelStore
from shared.clock import Clock
from shared.jobs import conversion as life
from shared.jobs.conversion import ConversionState, ConversionStatus

EVERY_S: Final = 2.0
_MOST: Final = 1000

log = structlog.get_logger(__name__)


class LostConversions:
    """One round of looking; any leader may do it at any time."""

    def __init__(
        self,
        *,
        conversions: ConversionStore,
        models: ModelStore,
        mover: ConversionMover,
        bell: Bell,
        clock: Clock,
        policy: LeasePolicy,
    ) -> None:
        self._conversions = conversions
        self._models = models
        self._mover = mover
        self._bell = bell
        self._clock = clock
        self._policy = policy
        self._vigil = Vigil(clock)

    async def run_once(self) -> int:
        """How many were taken back, or ended. Raises Unavailable."""
        began_ns = self._clock.monotonic_ns()
        running = {each.id: each for each in await self._conversions.oldest(ConversionState.RUNNING, limit=_MOST)}
        self._vigil.look([lease for each in running.values() if (lease := _lease(each))], began_ns=began_ns)
        silent = self._vigil.unchanged(self._policy.lease + self._policy.grace)
        taken = [lease.run_id for lease in silent if await self._take_back(running[lease.run_id])]
        if taken:
            log.info("conversions.taken_back", conversions=taken)
            self._bell.ring(CONVERTERS)
        return len(taken)

    async def _take_back(self, conversion: Conversion) -> bool:
        """False where it is no longer as it was read: its converter spoke."""
        status = overdue(conversion.status, result_is_ready=await has_result(self._models, conversion))
        return await self._mover.try_once(conversion, status) is not None


def overdue(status: ConversionStatus, *, result_is_ready: bool) -> ConversionStatus:
    """What becomes of a conversion whose converter went silent. Pure.

    One that died between the upload of its result and saying so has done its work.
    """
    if result_is_ready:
        return life.succeed(life.finished(status))
    return life.lose(status, f"converter {status.converter} went silent during attempt {status.attempt}")


def _lease(conversion: Conversion) -> HeldLease | None:
    lease = conversion.status.lease
    if lease is None:
        return None
    return HeldLease(run_id=conversion.id, fence=conversion.status.fence, expires_at=lease.expires_at)
