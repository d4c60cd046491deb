"""Followers, leaders and tokens in MongoDB."""

from collections.abc import Sequence
from datetime import datetime

from pymongo.errors import DuplicateKeyError

from leader.perfdb import documents
from leader.perfdb.entities import Follower, Token
from leader.perfdb.mongo_query import Document, Documents
from model_repo.gridfs import driver_errors
from shared.errors import Conflict, NotFound
from shared.wire.identity import Registration


class MongoFollowers:
    """FollowerStore."""

    def __init__(self, collection: Documents) -> None:
        self._followers = collection

    async def put(
        self,
        registration: Registration,
        *,
        at: datetime,
        replacing: Follower | None = None,
        clock_offset_s: float | None = None,
    ) -> bool:
        follower = Follower(registration=registration, last_seen_at=at, clock_offset_s=clock_offset_s)
        document = documents.follower_to_document(follower)
        with driver_errors("storing a follower"):
            if replacing is None:
                return await self._insert(document)
            where = {
                "_id": document.pop("_id"),
                "incarnation": str(replacing.registration.incarnation),
                "last_seen_at_us": documents.to_us(replacing.last_seen_at),
            }
            return (await self._followers.update_one(where, {"$set": document})).matched_count == 1

    async def _insert(self, document: Document) -> bool:
        try:
            await self._followers.insert_one(document)
        except DuplicateKeyError:
            return False
        return True

    async def cordon(self, name: str, *, cordoned: bool) -> None:
        with driver_errors("cordoning a follower"):
            found = await self._followers.update_one({"_id": str(name)}, {"$set": {"cordoned": int(cordoned)}})
        if not found.matched_count:
            raise NotFound(f"there is no follower {name!r}")

    async def get(self, name: str) -> Follower:
        with driver_errors("reading a follower"):
            found = await self._followers.find_one({"_id": str(name)})
        if found is None:
            raise NotFound(f"there is no follower {name!r}; it has to register first")
        return documents.follower_from_document(found)

    async def all(self) -> list[Follower]:
        with driver_errors("listing followers"):
            found = await self._followers.find({}).to_list()
        return [documents.follower_from_document(document) for document in sorted(found, key=lambda d: str(d["_id"]))]

    async def touch(
        self,
        name: str,
        *,
        incarnation: str,
        at: datetime,
        busy_slots: Sequence[str] = (),
        clock_offset_s: float | None = None,
        left: bool = False,
    ) -> bool:
        news = {
            "last_seen_at_us": documents.to_us(at),
            "busy_slots": documents.to_json(list(busy_slots)),
            "clock_offset_s": clock_offset_s,
            "left": int(left),
        }
        where = {"_id": str(name), "incarnation": str(incarnation)}
        with driver_errors("noting a heartbeat"):
            return (await self._followers.update_one(where, {"$set": news})).matched_count == 1


class MongoLeaders:
    """LeaderStore."""

    def __init__(self, collection: Documents) -> None:
        self._leaders = collection

    async def put(self, name: str, beats: int) -> None:
        with driver_errors("noting that this leader is at work"):
            await self._leaders.replace_one({"_id": str(name)}, {"_id": str(name), "beats": int(beats)}, upsert=True)

    async def all(self) -> dict[str, int]:
        with driver_errors("looking for other leaders"):
            found = await self._leaders.find({}).to_list()
        return {str(document["_id"]): int(document["beats"]) for document in found}

    async def remove(self, name: str) -> None:
        with driver_errors("forgetting a leader"):
            await self._leaders.delete_one({"_id": str(name)})


class MongoTokens:
    """TokenStore."""

    def __init__(self, collection: Documents) -> None:
        self._tokens = collection

    async def add(self, token: Token) -> None:
        document = documents.token_to_document(token)
        with driver_errors("storing a token"):
            await self._tokens.replace_one({"_id": document["_id"]}, document, upsert=True)

    async def create(self, token: Token) -> None:
        with driver_errors("storing a token"):
            try:
                await self._tokens.insert_one(documents.token_to_document(token))
            except DuplicateKeyError as error:
                raise Conflict(f"there is a token {token.name!r} already; revoke it, or choose another name") from error

    async def find(self, sha256: str) -> Token | None:
        with driver_errors("looking up a token"):
            found = await self._tokens.find_one({"sha256": str(sha256)})
        return documents.token_from_document(found) if found else None

    async def all(self) -> list[Token]:
        with driver_errors("listing tokens"):
            found = await self._tokens.find({}).to_list()
        return [documents.token_from_document(document) for document in sorted(found, key=lambda d: str(d["_id"]))]

    async def remove(self, name: str) -> None:
        with driver_errors("removing a token"):
            gone = (await self._tokens.delete_one({"_id": str(name)})).deleted_count
        if not gone:
            raise NotFound(f"there is no token {name!r}")
