"""Progress events, evidence and artifacts in MongoDB."""

from collections.abc import Sequence
from typing import Final

from pymongo import ASCENDING
from pymongo.errors import BulkWriteError, DuplicateKeyError

from leader.perfdb import documents
from leader.perfdb.entities import Event, Evidence, StoredArtifact
from leader.perfdb.mongo_query import Documents, select
from model_repo.gridfs import driver_errors
from shared.errors import NotFound

_DUPLICATE_KEY: Final = 11000


class MongoEvents:
    """EventStore."""

    def __init__(self, collection: Documents) -> None:
        self._events = collection

    async def append(self, events: Sequence[Event]) -> None:
        if not events:
            return
        with driver_errors("storing events"):
            try:
                await self._events.insert_many([documents.event_to_document(event) for event in events], ordered=False)
            except BulkWriteError as error:
                faults = error.details["writeErrors"]
                if not faults or any(fault["code"] != _DUPLICATE_KEY for fault in faults):
                    raise

    async def after(self, run_id: str, position: tuple[int, int], *, limit: int) -> list[Event]:
        where = {"run_id": str(run_id), "position": {"$gt": documents.position_number(position)}}
        with driver_errors("reading events"):
            found = await select(self._events, where, [("position", ASCENDING)], limit)
        return [documents.event_from_document(document) for document in found]


class MongoEvidence:
    """EvidenceStore."""

    def __init__(self, attempts: Documents, artifacts: Documents) -> None:
        self._attempts = attempts
        self._artifacts = artifacts

    async def add(self, evidence: Evidence) -> Evidence:
        with driver_errors("storing a result"):
            try:
                await self._attempts.insert_one(documents.evidence_to_document(evidence))
            except DuplicateKeyError:
                return await self.get(evidence.run_id, evidence.attempt)
        return evidence

    async def get(self, run_id: str, attempt: int) -> Evidence:
        with driver_errors("reading a result"):
            found = await self._attempts.find_one({"_id": f"{run_id}:{attempt}"})
        if found is None:
            raise NotFound(f"attempt {attempt} of run {run_id} has delivered nothing")
        return documents.evidence_from_document(found)

    async def add_artifact(self, artifact: StoredArtifact) -> None:
        document = documents.artifact_to_document(artifact)
        with driver_errors("storing an artifact"):
            await self._artifacts.replace_one({"_id": document["_id"]}, document, upsert=True)

    async def artifacts(self, run_id: str, attempt: int) -> list[StoredArtifact]:
        with driver_errors("reading artifacts"):
            found = await self._artifacts.find({"run_id": str(run_id), "attempt": int(attempt)}).to_list()
        return [documents.artifact_from_document(document) for document in found]
