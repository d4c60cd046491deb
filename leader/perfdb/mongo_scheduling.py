"""What runs took of the slots, and what an administrator set, in MongoDB."""

import json
from datetime import datetime
from typing import Any

from pymongo import DESCENDING

from leader.perfdb import documents, outlook
from leader.perfdb.entities import Spent
from leader.perfdb.mongo_query import Documents, select
from model_repo.gridfs import driver_errors


class MongoSpent:
    """SpentStore."""

    def __init__(self, collection: Documents) -> None:
        self._spent = collection

    async def put(self, spent: Spent) -> None:
        document = outlook.spent_to_document(spent)
        with driver_errors("noting what a run took"):
            await self._spent.replace_one({"_id": document["_id"]}, document, upsert=True)

    async def newest(self, *, since: datetime | None, limit: int) -> list[Spent]:
        where = {} if since is None else {"ended_at_us": {"$gte": documents.to_us(since)}}
        with driver_errors("reading what runs took"):
            found = await select(self._spent, where, [("ended_at_us", DESCENDING)], limit)
        return [outlook.spent_from_document(document) for document in found]


class MongoSettings:
    """SettingsStore."""

    def __init__(self, collection: Documents) -> None:
        self._settings = collection

    async def get(self, name: str) -> dict[str, Any] | None:
        with driver_errors("reading settings"):
            found = await self._settings.find_one({"_id": str(name)})
        return json.loads(found["value"]) if found else None

    async def put(self, name: str, value: dict[str, Any]) -> None:
        document = {"_id": str(name), "value": documents.to_json(value)}
        with driver_errors("storing settings"):
            await self._settings.replace_one({"_id": document["_id"]}, document, upsert=True)
