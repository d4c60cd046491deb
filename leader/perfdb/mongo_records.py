"""Records, leaderboard entries and tasks in MongoDB."""

import asyncio
import itertools
from collections.abc import Collection
from typing import Any, Final

from pymongo import DESCENDING

from leader.perfdb import documents, record_documents
from leader.perfdb.entities import LeaderboardEntry, RecordFilter, StoredRecord, Task
from leader.perfdb.mongo_query import Documents, given, select, tally
from model_repo.gridfs import driver_errors
from shared.errors import NotFound
from shared.measure.metrics import METRICS
from shared.measure.record import Record

_AT_ONCE: Final = 16
"""Look-ups under way together: some servers answer them one after the other, and others wait for an answer, too."""


class MongoRecords:
    """RecordStore."""

    def __init__(self, records: Documents, leaderboard: Documents, tasks: Documents) -> None:
        self._records = records
        self._leaderboard = leaderboard
        self._tasks = tasks

    async def put(self, stored: StoredRecord) -> None:
        record, entry = record_documents.record_to_document(stored), record_documents.entry_to_document(stored.entry)
        with driver_errors("storing a record"):
            await self._records.replace_one({"_id": record["_id"]}, record, upsert=True)
            await self._leaderboard.replace_one({"_id": entry["_id"]}, entry, upsert=True)
            await self._put_task(stored.task)

    async def _put_task(self, task: Task) -> None:
        """Counted anew rather than counted up, so that a repeated put changes nothing."""
        counts = await tally(self._leaderboard, {"key": task.comparability_key, "ranked": 1}, "key")
        update = {
            "$set": {"facts": documents.to_json(task.facts)},
            "$max": {"last_at_us": documents.to_us(task.last_at), "record_count": sum(counts.values())},
        }
        await self._tasks.update_one({"_id": task.comparability_key}, update, upsert=True)

    async def get(self, run_id: str) -> Record:
        with driver_errors("reading a record"):
            found = await self._records.find_one({"_id": str(run_id)})
        if found is None:
            raise NotFound(f"run {run_id} has no record")
        return record_documents.record_from_document(found)

    async def page(self, wanted: RecordFilter, *, before: str | None, limit: int) -> list[Record]:
        where = _where(wanted)
        if before is not None:
            where["seq"] = {"$lt": str(before)}
        with driver_errors("listing records"):
            found = await select(self._records, where, [("seq", DESCENDING)], limit)
        return [record_documents.record_from_document(document) for document in found]

    async def tasks(self, wanted: RecordFilter, *, limit: int) -> list[Task]:
        where = _where(wanted)
        with driver_errors("listing tasks"):
            if not where:
                where = {"record_count": {"$gt": 0}}
            else:
                where = {"_id": {"$in": list(await tally(self._leaderboard, {**where, "ranked": 1}, "key"))}}
            found = await select(self._tasks, where, [("last_at_us", DESCENDING)], limit)
        return [record_documents.task_from_document(document) for document in found]

    async def task(self, comparability_key: str) -> Task | None:
        with driver_errors("reading a task"):
            found = await self._tasks.find_one({"_id": str(comparability_key)})
        return record_documents.task_from_document(found) if found else None

    async def best(self, key: str, metric: str, wanted: RecordFilter, *, limit: int) -> list[LeaderboardEntry]:
        score = f"score.{METRICS[metric].name}"
        sort = [(score, DESCENDING), ("seq", DESCENDING)]
        with driver_errors("reading the leaderboard"):
            found = await select(self._leaderboard, {"key": str(key), "ranked": 1, **_where(wanted)}, sort, limit)
        return [record_documents.entry_from_document(document) for document in found]

    async def of_points(self, point_keys: Collection[str], *, limit: int) -> list[LeaderboardEntry]:
        found: list[LeaderboardEntry] = []
        keys = sorted(point_keys)
        for first in range(0, len(keys), _AT_ONCE):
            some = (self._of_point(key, limit) for key in keys[first : first + _AT_ONCE])
            found += itertools.chain.from_iterable(await asyncio.gather(*some))
        return sorted(found, key=lambda entry: (entry.created_at, entry.run_id), reverse=True)

    async def _of_point(self, point_key: str, limit: int) -> list[LeaderboardEntry]:
        """One key at a time: no server that this runs on takes the order from the index for several."""
        with driver_errors("looking for equal records"):
            where = {"point_key": str(point_key), "ranked": 1}
            found = await select(self._leaderboard, where, [("seq", DESCENDING)], limit)
        return [record_documents.entry_from_document(document) for document in found]


def _where(wanted: RecordFilter) -> dict[str, Any]:
    return given(job_id=wanted.job_id, model=wanted.model, platform=wanted.platform, team=wanted.team)
