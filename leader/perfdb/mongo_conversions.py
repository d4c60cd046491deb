"""Conversions in MongoDB, and how they become documents; the rules are those of ``leader.perfdb.documents``."""

import secrets
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from pymongo import ASCENDING, DESCENDING
from pymongo.errors import DuplicateKeyError

from leader.perfdb.documents import from_us, to_us
from leader.perfdb.entities import Conversion
from leader.perfdb.mongo_query import Document, Documents, select
from model_repo.gridfs import driver_errors
from shared.errors import NotFound, Unavailable
from shared.jobs.conversion import ConversionState, ConversionStatus
from shared.wire.assignment import ModelPin

_LIVE: Final = tuple(state.value for state in ConversionState if not state.is_terminal)
_PLAIN: Final = ("owner", "idempotency_key", "body_sha256", "to", "dataset", "name", "moves")


class MongoConversions:
    """ConversionStore."""

    def __init__(self, collection: Documents) -> None:
        self._conversions = collection

    async def add(self, conversion: Conversion) -> Conversion:
        with driver_errors("storing a conversion"):
            try:
                await self._conversions.insert_one(to_document(conversion))
            except DuplicateKeyError:
                same = {"owner": conversion.owner, "idempotency_key": conversion.idempotency_key}
                found = await select(self._conversions, same, [("idempotency_key", ASCENDING)], 1)
                if not found:
                    raise
                return from_document(found[0])
        return conversion

    async def get(self, conversion_id: str) -> Conversion:
        with driver_errors("reading a conversion"):
            found = await self._conversions.find_one({"_id": str(conversion_id)})
        if found is None:
            raise NotFound(f"there is no conversion {conversion_id}")
        return from_document(found)

    async def page(self, state: ConversionState | None, *, before: str | None, limit: int) -> list[Conversion]:
        where: dict[str, Any] = {} if state is None else {"state": state.value}
        if before is not None:
            where["seq"] = {"$lt": str(before)}
        return await self._select(where, DESCENDING, limit)

    async def oldest(self, state: ConversionState, *, limit: int) -> list[Conversion]:
        return await self._select({"state": state.value}, ASCENDING, limit)

    async def _select(self, where: dict[str, Any], direction: int, limit: int) -> list[Conversion]:
        with driver_errors("listing conversions"):
            found = await select(self._conversions, where, [("seq", direction)], limit)
        return [from_document(document) for document in found]

    async def move(self, conversion: Conversion, status: ConversionStatus, *, at: datetime) -> Conversion | None:
        moved = replace(conversion, status=status, moves=conversion.moves + 1, updated_at=at)
        signature = secrets.token_hex(8)  # tells this write from any other when its outcome is unknown
        update = {"$set": {**_moving_part(moved), "moved_by": signature}}
        try:
            with driver_errors("moving a conversion"):
                done = await self._conversions.update_one({"_id": conversion.id, "moves": conversion.moves}, update)
        except Unavailable:
            return moved if await self._happened(conversion, signature) else None
        return moved if done.matched_count == 1 else None

    async def _happened(self, conversion: Conversion, signature: str) -> bool:
        """Whether the write with this signature did. Raises Unavailable where it did not, but still could."""
        with driver_errors("reading back a conversion"):
            found = await self._conversions.find_one({"_id": conversion.id})
        if found is None:
            raise NotFound(f"there is no conversion {conversion.id}")
        if found.get("moved_by") == signature:
            return True
        if found["moves"] == conversion.moves:
            raise Unavailable(f"conversion {conversion.id} was not moved: the database did not answer in time")
        return False

    async def needs_model(self, name: str, version: int) -> bool:
        where = {"model": str(name), "version": int(version), "state": {"$in": list(_LIVE)}}
        with driver_errors("looking for conversions of a model"):
            return await self._conversions.find_one(where, {"_id": 1}) is not None


def to_document(conversion: Conversion) -> Document:
    """As it is stored; ``state``, ``model`` and ``version`` stand beside the rest because lists are read by them."""
    return {
        "_id": conversion.id,
        "seq": conversion.id,
        **{name: getattr(conversion, name) for name in _PLAIN},
        "model": conversion.source.name,
        "version": conversion.source.version,
        "source": conversion.source.model_dump_json(),
        "created_at_us": to_us(conversion.created_at),
        **_moving_part(conversion),
    }


def _moving_part(conversion: Conversion) -> Document:
    return {
        "state": conversion.status.state.value,
        "status": conversion.status.model_dump_json(),
        "moves": conversion.moves,
        "updated_at_us": to_us(conversion.updated_at),
    }


def from_document(document: Document) -> Conversion:
    """What was stored."""
    return Conversion(
        **{name: document[name] for name in _PLAIN},
        id=document["_id"],
        source=ModelPin.model_validate_json(document["source"]),
        status=ConversionStatus.model_validate_json(document["status"]),
        created_at=from_us(document["created_at_us"]),
        updated_at=from_us(document["updated_at_us"]),
    )
