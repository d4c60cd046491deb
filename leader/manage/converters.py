"""The converters' side of the queue of conversions: claim, renew, announce, upload, finish."""

from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Final

import structlog

from leader.broker.protocol import Bell, bell_queue
from leader.manage.conversion_moves import ConversionMover, require_held
from leader.manage.conversions import CONVERTERS, has_result, view_of
from leader.manage.policy import LeasePolicy
from leader.perfdb.entities import Conversion
from leader.perfdb.protocol import ConversionStore
from model_repo.cards import parse_card
from model_repo.protocol import ModelStore
from shared.clock import Clock
from shared.errors import Conflict, InvalidInput, NotFound, StaleFence
from shared.jobs import conversion as life
from shared.jobs.conversion import ConversionLease, ConversionState, ConversionStatus, ProducedModel
from shared.wire.assignment import LeaseAnswer
from shared.wire.conversions import (
    ConversionEnd,
    ConversionLeaseCall,
    ConversionOrder,
    ConversionView,
    ConvertedView,
    ConverterAnswer,
    ConverterClaim,
    NewResult,
)

POLLS_WITH_BELL: Final = 5
"""A converter that has a bell polls so much less often than followers do: its machine may be measuring."""

_LOOKED_AT: Final = 100
"""Waiting conversions that a claim looks at, and running ones."""

log = structlog.get_logger(__name__)


class Converters:
    """What a converter may do."""

    def __init__(
        self,
        *,
        conversions: ConversionStore,
        models: ModelStore,
        mover: ConversionMover,
        bell: Bell,
        clock: Clock,
        policy: LeasePolicy,
        broker_url: str | None,
    ) -> None:
        self._conversions = conversions
        self._models = models
        self._mover = mover
        self._bell = bell
        self._clock = clock
        self._policy = policy
        self._broker_url = broker_url

    async def claim(self, converter: str, claim: ConverterClaim) -> ConverterAnswer:
        """The oldest conversion, leased to this converter; or what it waits for, noted with those that wait for it.

        A claim whose answer got lost may be sent again: the same conversion comes back.
        """
        if claim.waiting is not None:
            await self._note(f"converter {converter}: {claim.waiting}")
            return self._answer(None)
        return self._answer(await self._held(converter, claim) or await self._next(converter, claim))

    async def _note(self, waiting: str) -> None:
        for conversion in await self._conversions.oldest(ConversionState.QUEUED, limit=_LOOKED_AT):
            if conversion.status.waiting != waiting:
                await self._mover.try_once(conversion, life.note(conversion.status, waiting))

    async def _held(self, converter: str, claim: ConverterClaim) -> Conversion | None:
        """What this very process holds already, renewed."""
        for conversion in await self._conversions.oldest(ConversionState.RUNNING, limit=_LOOKED_AT):
            lease = conversion.status.lease
            if lease is not None and (lease.converter, lease.incarnation) == (converter, claim.incarnation):
                expires_at = self._clock.utc_now() + self._policy.lease
                return await self._mover.try_once(conversion, life.renew(conversion.status, expires_at, None))
        return None

    async def _next(self, converter: str, claim: ConverterClaim) -> Conversion | None:
        for conversion in await self._conversions.oldest(ConversionState.QUEUED, limit=_LOOKED_AT):
            lease = ConversionLease(
                converter=converter,
                incarnation=claim.incarnation,
                expires_at=self._clock.utc_now() + self._policy.lease,
            )
            claimed = await self._mover.try_once(conversion, life.claim(conversion.status, lease))
            if claimed is not None:
                log.info("conversion.claimed", conversion=claimed.id, converter=converter, fence=claimed.status.fence)
                return claimed
        return None

    def _answer(self, conversion: Conversion | None) -> ConverterAnswer:
        return ConverterAnswer(
            order=_order(conversion) if conversion else None,
            lease_s=self._policy.lease.total_seconds(),
            poll_s=self._policy.poll_s * (POLLS_WITH_BELL if self._broker_url else 1),
            broker_url=self._broker_url,
            bell_queue=bell_queue(CONVERTERS),
        )

    async def renew(self, converter: str, conversion_id: str, call: ConversionLeaseCall) -> LeaseAnswer:
        """Keep the conversion. Raises StaleFence, NotFound."""

        def decide(conversion: Conversion) -> ConversionStatus:
            require_held(conversion, converter, call.fence)
            return life.renew(conversion.status, self._clock.utc_now() + self._policy.lease, call.waiting)

        await self._mover.move(conversion_id, decide)
        return LeaseAnswer(lease_s=self._policy.lease.total_seconds())

    async def announce(self, converter: str, conversion_id: str, new: NewResult) -> ConvertedView:
        """Register the next version of the new model for the attempt's result; announced again: the same one.

        Raises:
            StaleFence, NotFound, TooLarge.
            InvalidInput: the card's lineage is not that of this conversion.
        """
        conversion = await self._conversions.get(conversion_id)
        require_held(conversion, converter, new.fence)
        known = conversion.status.produced
        if known is not None and known.sha256 == new.sha256:
            return ConvertedView(**known.model_dump())
        _require_lineage(conversion, new)
        pending = await self._models.register(
            name=conversion.name, sha256=new.sha256, size_bytes=new.size_bytes, card=new.card
        )
        produced = ProducedModel(name=pending.name, version=pending.version, sha256=new.sha256)

        def decide(found: Conversion) -> ConversionStatus:
            require_held(found, converter, new.fence)
            return life.announce(found.status, produced)

        await self._mover.move(conversion_id, decide)
        return ConvertedView(**produced.model_dump())

    async def upload(self, converter: str, conversion_id: str, fence: int, chunks: AsyncIterator[bytes]) -> None:
        """The announced result's bytes. Raises StaleFence, NotFound, Conflict (nothing announced), InvalidModel."""
        conversion = await self._conversions.get(conversion_id)
        require_held(conversion, converter, fence)
        produced = conversion.status.produced
        if produced is None:
            raise Conflict(f"conversion {conversion_id} has no result announced under fence {fence}")
        await self._models.upload(produced.name, produced.version, chunks)
        try:
            require_held(await self._conversions.get(conversion_id), converter, fence)
        except StaleFence:  # cancelled or given to another meanwhile: nobody asked for this one
            with suppress(NotFound, Conflict):
                await self._models.delete(produced.name, produced.version)
            raise

    async def finish(self, converter: str, conversion_id: str, end: ConversionEnd) -> ConversionView:
        """How the attempt ended. The same end again gets the same answer.

        Raises:
            StaleFence: another attempt holds the conversion, or it was cancelled.
            Conflict: the result that it converted to is not ready.
            NotFound.
        """
        conversion = await self._conversions.get(conversion_id)
        if conversion.status.finished_fence == end.fence:
            return view_of(conversion)
        require_held(conversion, converter, end.fence)
        if end.outcome == "converted":
            await self._require_result(conversion)

        def decide(found: Conversion) -> ConversionStatus | None:
            if found.status.finished_fence == end.fence:
                return None
            require_held(found, converter, end.fence)
            return _ended(life.finished(found.status), end)

        moved = await self._mover.move(conversion_id, decide)
        log.info("conversion.finished", conversion=moved.id, state=moved.status.state, cause=moved.status.cause)
        if moved.status.state is ConversionState.QUEUED:
            self._bell.ring(CONVERTERS)
        return view_of(moved)

    async def _require_result(self, conversion: Conversion) -> None:
        if not await has_result(self._models, conversion):
            raise Conflict(f"the result of conversion {conversion.id} is not uploaded")


def _order(conversion: Conversion) -> ConversionOrder:
    return ConversionOrder(
        id=conversion.id,
        attempt=conversion.status.attempt,
        fence=conversion.status.fence,
        to=conversion.to,
        dataset=conversion.dataset,
        source=conversion.source,
    )


def _require_lineage(conversion: Conversion, new: NewResult) -> None:
    """A converter registers what it was asked to make, and nothing else."""
    lineage, source = parse_card(new.card).lineage, conversion.source
    made_from = None if lineage is None else (lineage.conversion, *lineage.source.model_dump().values())
    if made_from != (conversion.to, source.name, source.version, source.sha256):
        raise InvalidInput(
            f"the card's lineage must be: {conversion.to} of version {source.version} of {source.name} "
            f"(sha256 {source.sha256})"
        )


def _ended(status: ConversionStatus, end: ConversionEnd) -> ConversionStatus:
    match end.outcome:
        case "converted":
            return life.succeed(status)
        case "refused":
            return life.refuse(status, end.detail or "the converter gave no reason")
        case "stopped":
            return life.give_back(status, f"converter {status.converter} was stopped")
        case "broken":
            return life.lose(status, f"converter {status.converter} failed: {end.detail or 'it does not say why'}")
