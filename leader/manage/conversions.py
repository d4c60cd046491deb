"""Conversions in the background, as people see them: asked for, listed, looked at, cancelled.

Nothing of a model is opened here: what can be converted to what is decided by its card.
"""

import builtins
import hashlib
import secrets
from contextlib import suppress
from typing import Final

import structlog

from leader.broker.protocol import Bell
from leader.manage.conversion_moves import ConversionMover
from leader.perfdb.entities import Conversion
from leader.perfdb.protocol import ConversionStore
from model_repo.cards import parse_card
from model_repo.convert.conversions import find_conversion
from model_repo.convert.task import default_name
from model_repo.protocol import ModelStore
from shared.clock import Clock
from shared.errors import Conflict, IdempotencyMismatch, InvalidInput, NotFound
from shared.jobs import conversion as life
from shared.jobs import ids
from shared.jobs.conversion import ConversionState, ConversionStatus, ProducedModel
from shared.wire.conversions import ConversionView, ConvertedView, NewConversion
from shared.wire.views import Page

CONVERTERS: Final = "@converters"
"""Who is rung; no follower can have this name. One ring wakes one of them, and it works until nothing is left."""

log = structlog.get_logger(__name__)


class Conversions:
    """What a person may do with conversions."""

    def __init__(
        self, conversions: ConversionStore, models: ModelStore, mover: ConversionMover, bell: Bell, clock: Clock
    ) -> None:
        self._conversions = conversions
        self._models = models
        self._mover = mover
        self._bell = bell
        self._clock = clock

    async def submit(self, new: NewConversion, owner: str, idempotency_key: str | None = None) -> ConversionView:
        """Accept a conversion; it is stored before this returns. The same key again gives the same conversion.

        Raises:
            IdempotencyMismatch: the key was used for another wish.
            NotFound: there is no such model.
            Conflict: the version is not ready.
            InvalidInput: a model of this format cannot be converted so.
        """
        source = await self._models.pin(new.model.name, new.model.version or "latest")
        to = find_conversion(new.to, parse_card(source.card).format)
        now = self._clock.utc_now()
        conversion_id = ids.new_conversion_id(now, secrets.token_bytes(ids.RANDOM_BYTES))
        wished = Conversion(
            id=conversion_id,
            owner=owner,
            idempotency_key=idempotency_key or conversion_id,
            body_sha256=hashlib.sha256(new.model_dump_json().encode()).hexdigest(),
            source=source,
            to=to,
            dataset=new.dataset,
            name=new.name or default_name(source.name, to),
            created_at=now,
            updated_at=now,
        )
        accepted = await self._conversions.add(wished)
        if accepted.body_sha256 != wished.body_sha256:
            raise IdempotencyMismatch(f"the idempotency key was used for conversion {accepted.id}, which is another")
        self._bell.ring(CONVERTERS)
        log.info("conversion.accepted", conversion=accepted.id, model=source.name, version=source.version, to=to)
        return view_of(accepted)

    async def get(self, conversion_id: str) -> ConversionView:
        """Raises NotFound."""
        return view_of(await self._conversions.get(conversion_id))

    async def list(
        self, *, state: ConversionState | None = None, limit: int = 50, cursor: str | None = None
    ) -> Page[ConversionView]:
        """Newest first. Raises InvalidInput: not one of our cursors."""
        if cursor is not None and not ids.is_conversion_id(cursor):
            raise InvalidInput("the cursor is not one that this service gave; start without one")
        found = await self._conversions.page(state, before=cursor, limit=limit + 1)
        views: builtins.list[ConversionView] = [view_of(conversion) for conversion in found[:limit]]
        return Page(items=tuple(views), next_cursor=views[-1].id if len(found) > limit else None)

    async def cancel(self, conversion_id: str, by: str) -> ConversionView:
        """Final at once; its converter stops when it next speaks. One that is cancelled already stays so.

        Raises:
            NotFound.
            Conflict: it has ended otherwise.
        """
        dropped: ProducedModel | None = None

        def decide(conversion: Conversion) -> ConversionStatus | None:
            nonlocal dropped
            if conversion.status.state is ConversionState.CANCELLED:
                return None
            dropped = conversion.status.produced
            return life.cancel(conversion.status, f"cancelled by {by}")

        cancelled = await self._mover.move(conversion_id, decide)
        if dropped is not None:
            with suppress(NotFound, Conflict):
                await self._models.delete(dropped.name, dropped.version)
        return view_of(cancelled)


async def has_result(models: ModelStore, conversion: Conversion) -> bool:
    """Whether what its attempt announced is uploaded and ready. Raises Unavailable."""
    produced = conversion.status.produced
    if produced is None:
        return False
    try:
        return (await models.get(produced.name, produced.version)).state == "ready"
    except NotFound:
        return False


def view_of(conversion: Conversion) -> ConversionView:
    """What the API shows. Pure."""
    status, path = conversion.status, f"/api/v1/conversions/{conversion.id}"
    produced = status.produced if status.state is ConversionState.SUCCEEDED else None
    links = {"self": path, "source": _model_path(conversion.source.name, conversion.source.version)}
    if produced:
        links["result"] = _model_path(produced.name, produced.version)
    return ConversionView(
        id=conversion.id,
        owner=conversion.owner,
        model=conversion.source.name,
        version=conversion.source.version,
        to=conversion.to,
        dataset=conversion.dataset,
        name=conversion.name,
        state=status.state,
        attempt=status.attempt,
        converter=status.converter,
        waiting=status.waiting,
        cause=status.cause,
        result=ConvertedView(**produced.model_dump()) if produced else None,
        created_at=conversion.created_at,
        updated_at=conversion.updated_at,
        links=links,
    )


def _model_path(name: str, version: int) -> str:
    return f"/api/v1/models/{name}/versions/{version}"
