"""Carrying out moves of conversions, as ``leader.manage.moves`` does for runs; and who may speak for an attempt."""

from collections.abc import Callable
from typing import Final

from leader.perfdb.entities import Conversion
from leader.perfdb.protocol import ConversionStore
from shared.clock import Clock
from shared.errors import Conflict, StaleFence, Unavailable
from shared.jobs.conversion import ConversionStatus, IllegalConversionMove

TRIES: Final = 20

Decide = Callable[[Conversion], ConversionStatus | None]
"""A pure decision on a conversion as it stands: its next status, None to leave it, or an error."""


class ConversionMover:
    """Decides on what was read, compares and sets, and on a lost race reads and decides again."""

    def __init__(self, conversions: ConversionStore, clock: Clock) -> None:
        self._conversions = conversions
        self._clock = clock

    async def try_once(self, conversion: Conversion, status: ConversionStatus) -> Conversion | None:
        """The moved one, or None where it is no longer as it was read. Raises Unavailable."""
        return await self._conversions.move(conversion, status, at=self._clock.utc_now())

    async def move(self, conversion_id: str, decide: Decide) -> Conversion:
        """The conversion after ``decide`` was carried out.

        Raises:
            Conflict: its state does not allow the move.
            NotFound, Unavailable, and what ``decide`` raises.
        """
        for _ in range(TRIES):
            conversion = await self._conversions.get(conversion_id)
            try:
                status = decide(conversion)
            except IllegalConversionMove as error:
                raise Conflict(f"conversion {conversion_id} is {conversion.status.state} already") from error
            if status is None:
                return conversion
            moved = await self.try_once(conversion, status)
            if moved is not None:
                return moved
        raise Unavailable(f"conversion {conversion_id} is changed by too many at once; try again")


def require_held(conversion: Conversion, converter: str, fence: int) -> None:
    """Raises StaleFence where the attempt of this fence does not hold the conversion, or never did."""
    status = conversion.status
    if status.lease is None or (status.lease.converter, status.fence) != (converter, fence):
        raise StaleFence(
            f"fence {fence} of {converter!r} does not hold conversion {conversion.id}: it is {status.state}, "
            f"fence {status.fence}; stop this attempt"
        )
