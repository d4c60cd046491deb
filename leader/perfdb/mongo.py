"""PerfDB in MongoDB, or in what speaks its protocol: one client, one store per kind of thing."""

from datetime import UTC, datetime
from typing import Any, Final

from pymongo import AsyncMongoClient
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import PyMongoError

from leader.perfdb import schema
from leader.perfdb.mongo_conversions import MongoConversions
from leader.perfdb.mongo_evidence import MongoEvents, MongoEvidence
from leader.perfdb.mongo_jobs import MongoJobs, MongoRuns
from leader.perfdb.mongo_people import MongoFollowers, MongoLeaders, MongoTokens
from leader.perfdb.mongo_records import MongoRecords
from leader.perfdb.mongo_scheduling import MongoSettings, MongoSpent
from leader.perfdb.mongo_versions import MongoVersions
from model_repo.gridfs import GridFsBlobs, driver_errors
from shared.errors import Conflict, InvalidInput

_OPTIONS: Final[dict[str, Any]] = {
    "serverSelectionTimeoutMS": 5_000,
    "connectTimeoutMS": 5_000,
    "socketTimeoutMS": 30_000,
    "serverMonitoringMode": "poll",  # streaming opens a second connection, left half-open when the client closes
}
"""What holds unless the URL says otherwise."""


def connect(url: str, *, database: str = "inferbench") -> tuple["MongoPerfDB", GridFsBlobs]:
    """PerfDB and the blobs over one client; a database named in the URL wins. Nothing is sent yet.

    Raises:
        InvalidInput: the URL is not one of MongoDB.
    """
    try:
        client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(
            url,
            appname="inferbench-leader",
            w="majority",
            journal=True,
            **{option: value for option, value in _OPTIONS.items() if f"{option.lower()}=" not in url.lower()},
        )
        opened = client.get_default_database(database)
    except PyMongoError as error:
        raise InvalidInput(f"the database URL cannot be used: {error}") from error
    return MongoPerfDB(client, opened), GridFsBlobs(opened)


class MongoPerfDB:
    """PerfDB."""

    def __init__(self, client: AsyncMongoClient[dict[str, Any]], database: AsyncDatabase[dict[str, Any]]) -> None:
        self._client = client
        self._database = database
        self.jobs = MongoJobs(database[schema.JOBS])
        self.runs = MongoRuns(database[schema.RUNS])
        self.events = MongoEvents(database[schema.EVENTS])
        self.evidence = MongoEvidence(database[schema.ATTEMPTS], database[schema.ARTIFACTS])
        self.records = MongoRecords(database[schema.RECORDS], database[schema.LEADERBOARD], database[schema.TASKS])
        self.followers = MongoFollowers(database[schema.FOLLOWERS])
        self.leaders = MongoLeaders(database[schema.LEADERS])
        self.tokens = MongoTokens(database[schema.TOKENS])
        self.spent = MongoSpent(database[schema.SPENT])
        self.settings = MongoSettings(database[schema.SETTINGS])
        self.models = MongoVersions(database[schema.MODELS])
        self.datasets = MongoVersions(database[schema.DATASETS])
        self.conversions = MongoConversions(database[schema.CONVERSIONS])

    async def prepare(self) -> None:
        with driver_errors("preparing the database"):
            await self._check_schema()
            for name, indexes in schema.INDEXES.items():
                await self._database[name].create_indexes(list(indexes))

    async def _check_schema(self) -> None:
        meta = self._database[schema.META]
        mark = {"$setOnInsert": {"version": schema.SCHEMA_VERSION}}
        await meta.update_one({"_id": "schema"}, mark, upsert=True)
        found = await meta.find_one({"_id": "schema"})
        version = int(found["version"]) if found else schema.SCHEMA_VERSION
        if version > schema.SCHEMA_VERSION:
            raise Conflict(
                f"the database has schema {version}, written by a newer InferBench; this one knows up to"
                f" {schema.SCHEMA_VERSION}: start the newer version, or use another database"
            )

    async def ping(self) -> datetime | None:
        with driver_errors("asking the database for a sign of life"):
            told = (await self._client.admin.command("hello")).get("localTime")
        return told.replace(tzinfo=UTC) if isinstance(told, datetime) else None

    async def close(self) -> None:
        await self._client.close()
