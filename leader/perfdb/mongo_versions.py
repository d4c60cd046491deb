"""Versions of models and datasets in MongoDB."""

import re
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from pymongo import ASCENDING, DESCENDING
from pymongo.errors import DuplicateKeyError

from leader.perfdb import documents
from leader.perfdb.mongo_query import Documents, select
from model_repo.gridfs import driver_errors
from model_repo.protocol import VersionedBlob
from shared.errors import NotFound, Unavailable

_NUMBERING_ATTEMPTS: Final = 50
_NEWEST: Final = [("version", DESCENDING)]
_BY_NAME: Final = [("name", ASCENDING), ("version", DESCENDING)]


class MongoVersions:
    """VersionStore. Deleted versions stay as tombstones, so that their numbers are never given again."""

    def __init__(self, collection: Documents) -> None:
        self._versions = collection

    async def add_next(self, version: VersionedBlob) -> VersionedBlob:
        with driver_errors("registering a version"):
            for _ in range(_NUMBERING_ATTEMPTS):
                last = await select(self._versions, {"name": version.name}, _NEWEST, 1)
                numbered = replace(version, version=last[0]["version"] + 1 if last else 1)
                try:
                    await self._versions.insert_one(documents.version_to_document(numbered))
                except DuplicateKeyError:
                    continue  # another took the number
                return numbered
        raise Unavailable(f"too many at once register {version.name!r}; try again")

    async def get(self, name: str, version: int) -> VersionedBlob:
        with driver_errors("reading a version"):
            found = await self._versions.find_one({"_id": f"{name}@{version}"})
        if found is None or found["state"] == "deleted":
            raise NotFound(f"there is no version {version} of {name!r}")
        return documents.version_from_document(found)

    async def latest_ready(self, name: str) -> VersionedBlob | None:
        with driver_errors("reading the latest version"):
            found = await select(self._versions, {"name": str(name), "state": "ready"}, _NEWEST, 1)
        return documents.version_from_document(found[0]) if found else None

    async def search(self, text: str, *, after: tuple[str, int] | None, limit: int) -> list[VersionedBlob]:
        where: dict[str, Any] = {"state": {"$in": ["pending", "ready", "refused"]}}
        if text:
            where["search_text"] = {"$regex": re.escape(text.lower())}
        if after is not None:
            name, version = after
            where["$or"] = [{"name": {"$gt": name}}, {"name": name, "version": {"$lt": version}}]
        with driver_errors("searching versions"):
            found = await select(self._versions, where, _BY_NAME, limit)
        return [documents.version_from_document(document) for document in found]

    async def replace(self, old: VersionedBlob, new: VersionedBlob) -> bool:
        document = documents.version_to_document(new)
        where = {"_id": document.pop("_id"), "state": old.state}
        with driver_errors("changing a version"):
            return (await self._versions.update_one(where, {"$set": document})).matched_count == 1

    async def pending(self, *, before: datetime, limit: int) -> list[VersionedBlob]:
        where = {"state": "pending", "created_at_us": {"$lt": documents.to_us(before)}}
        sort = [("created_at_us", ASCENDING)]
        with driver_errors("looking for abandoned uploads"):
            found = await select(self._versions, where, sort, limit)
        return [documents.version_from_document(document) for document in found]
