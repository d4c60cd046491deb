"""MongoDB in memory, as far as the stores use it: what they are tested on elsewhere, they are tested on here, too.

    MemoryStore ── Table by name ──< MemoryCollection of one client ── Gate (latency, faults)

The store outlives its clients. Each client (a leader) reaches it through a gate of its own, and every operation passes
that gate under a name such as ``runs.update_one``; what it does to the tables it does in one piece.
"""

import asyncio
import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

import bson
from pymongo import IndexModel
from pymongo.errors import BulkWriteError, DuplicateKeyError
from pymongo.results import DeleteResult, InsertManyResult, InsertOneResult, UpdateResult

from leader.perfdb.mongo import MongoPerfDB
from simulation.documents import Document, NotUnderstood, copied, found_at, fresh, matching, piped, updated

ResultT = TypeVar("ResultT")

_DUPLICATE_KEY = 11000


class Gate(Protocol):
    """What stands between a client and the store."""

    async def read(self, name: str, effect: Callable[[], ResultT]) -> ResultT:
        """Do ``effect``, some time, or raise one of pymongo's errors."""
        ...

    async def write(self, name: str, effect: Callable[[], ResultT]) -> ResultT:
        """The same, for what changes something."""
        ...


class OpenGate:
    """Nothing ever goes wrong; others have their turn before each operation."""

    async def read(self, name: str, effect: Callable[[], ResultT]) -> ResultT:
        return await self.write(name, effect)

    async def write(self, name: str, effect: Callable[[], ResultT]) -> ResultT:
        del name
        await asyncio.sleep(0)
        return effect()


Watch = Callable[[str, Document | None, Document | None], None]
"""Told of every document that changed: its collection, before, after. It must change neither."""


@dataclass(frozen=True)
class UniqueIndex:
    """No two documents have the same values at these paths, among those that fit ``partial``."""

    name: str
    paths: tuple[str, ...]
    partial: Mapping[str, Any] | None = None

    def key_of(self, document: Document) -> tuple[Any, ...] | None:
        """What must be unique; None where the index leaves the document out."""
        if self.partial is not None and not matching(self.partial)(document):
            return None
        return tuple(value if _is_plain(value := found_at(document, path)) else None for path in self.paths)


def _is_plain(value: Any) -> bool:
    return isinstance(value, str | int | float)


@dataclass
class Table:
    """The documents of one collection, in the order in which they came."""

    name: str
    watch: Watch
    documents: dict[Any, Document] = field(default_factory=dict)
    indexes: dict[str, UniqueIndex] = field(default_factory=dict)
    _numbers: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))

    def add_index(self, index: UniqueIndex) -> None:
        self.indexes[index.name] = index

    def find(self, where: Mapping[str, Any]) -> list[Document]:
        """Those that fit, not copied."""
        wanted = where.get("_id")
        if isinstance(wanted, str):
            found = self.documents.get(wanted)
            return [found] if found is not None and (len(where) == 1 or matching(where)(found)) else []
        return list(filter(matching(where), self.documents.values())) if where else list(self.documents.values())

    def insert(self, document: Document) -> Any:
        """Its ``_id``. Raises DuplicateKeyError."""
        key = document.setdefault("_id", f"generated-{next(self._numbers)}")
        if key in self.documents:
            raise _duplicate(self.name, "_id_", {"_id": key})
        self._put(None, document)
        return key

    def put(self, before: Document, after: Document) -> None:
        """Replace one. Raises DuplicateKeyError."""
        if after["_id"] != before["_id"]:
            raise NotUnderstood("changing an _id")
        if after != before:
            self._put(before, after)

    def remove(self, document: Document) -> None:
        del self.documents[document["_id"]]
        self.watch(self.name, document, None)

    def _put(self, before: Document | None, after: Document) -> None:
        for index in self.indexes.values():
            key = index.key_of(after)
            others = (one for one in self.documents.values() if one is not before)
            if key is not None and any(index.key_of(one) == key for one in others):
                raise _duplicate(self.name, index.name, dict(zip(index.paths, key, strict=True)))
        self.documents[after["_id"]] = after
        self.watch(self.name, before, after)


def _duplicate(table: str, index: str, key: Mapping[str, Any]) -> DuplicateKeyError:
    message = f"E11000 duplicate key error collection: {table} index: {index} dup key: {dict(key)}"
    return DuplicateKeyError(message, _DUPLICATE_KEY, {"code": _DUPLICATE_KEY, "keyValue": dict(key)})


class MemoryStore:
    """What survives every crash."""

    def __init__(self) -> None:
        self.tables: dict[str, Table] = {}
        self.watchers: list[Watch] = []

    def table(self, name: str) -> Table:
        """The one of this name; it begins to exist when it is asked for."""
        if name not in self.tables:
            self.tables[name] = Table(name, self._changed)
        return self.tables[name]

    def _changed(self, name: str, before: Document | None, after: Document | None) -> None:
        for watch in self.watchers:
            watch(name, before, after)


def _sent(value: Document) -> Document:
    """As it would arrive over the wire: BSON's types, and its refusals."""
    return bson.decode(bson.encode(value))


class MemoryCursor:
    """The answer to a find or an aggregation, fetched when it is read."""

    def __init__(self, fetch: Callable[[], Any]) -> None:
        self._fetch = fetch

    async def to_list(self, length: int | None = None) -> list[Document]:
        found: list[Document] = await self._fetch()
        return found[:length]


class MemoryCollection:
    """pymongo's AsyncCollection, the part that is used."""

    def __init__(self, table: Table, gate: Gate) -> None:
        self._table = table
        self._gate = gate
        self.name = table.name

    async def _write(self, operation: str, effect: Callable[[], ResultT]) -> ResultT:
        return await self._gate.write(f"{self.name}.{operation}", effect)

    async def _read(self, operation: str, effect: Callable[[], ResultT]) -> ResultT:
        return await self._gate.read(f"{self.name}.{operation}", effect)

    # ------------------------------------------------------------------------------------------------ reading

    async def find_one(self, where: Mapping[str, Any], projection: Mapping[str, Any] | None = None) -> Document | None:
        def effect() -> Document | None:
            found = piped(self._table.find(where)[:1], [{"$project": projection}] if projection else [])
            return found[0] if found else None

        return await self._read("find_one", effect)

    def find(self, where: Mapping[str, Any] | None = None) -> MemoryCursor:
        return MemoryCursor(
            lambda: self._read("find", lambda: [copied(document) for document in self._table.find(where or {})])
        )

    async def aggregate(self, pipeline: Sequence[Mapping[str, Any]]) -> MemoryCursor:
        first, *rest = pipeline

        def effect() -> list[Document]:
            return (
                piped(self._table.find(first["$match"]), rest)
                if "$match" in first
                else piped(self._table.find({}), pipeline)
            )

        found = await self._read("aggregate", effect)

        async def fetched() -> list[Document]:
            return found

        return MemoryCursor(fetched)

    async def count_documents(self, where: Mapping[str, Any]) -> int:
        return await self._read("count_documents", lambda: len(self._table.find(where)))

    # ------------------------------------------------------------------------------------------------ writing

    async def insert_one(self, document: Mapping[str, Any]) -> InsertOneResult:
        sent = _sent(dict(document))
        return InsertOneResult(await self._write("insert_one", lambda: self._table.insert(copied(sent))), True)

    async def insert_many(self, documents: Sequence[Mapping[str, Any]], ordered: bool = True) -> InsertManyResult:
        sent = [_sent(dict(document)) for document in documents]

        def effect() -> InsertManyResult:
            keys: list[Any] = []
            faults: list[Document] = []
            for index, document in enumerate(sent):
                try:
                    keys.append(self._table.insert(copied(document)))
                except DuplicateKeyError as error:
                    faults.append({"index": index, "code": _DUPLICATE_KEY, "errmsg": str(error)})
                    if ordered:
                        break
            if faults:
                raise BulkWriteError({"writeErrors": faults, "writeConcernErrors": [], "nInserted": len(keys)})
            return InsertManyResult(keys, True)

        return await self._write("insert_many", effect)

    async def update_one(
        self, where: Mapping[str, Any], update: Mapping[str, Any], upsert: bool = False
    ) -> UpdateResult:
        return await self._update("update_one", where, update, upsert=upsert, most=1)

    async def update_many(
        self, where: Mapping[str, Any], update: Mapping[str, Any], upsert: bool = False
    ) -> UpdateResult:
        return await self._update("update_many", where, update, upsert=upsert, most=None)

    async def _update(
        self, operation: str, where: Mapping[str, Any], update: Mapping[str, Any], *, upsert: bool, most: int | None
    ) -> UpdateResult:
        where, update = _sent(dict(where)), _sent(dict(update))

        def effect() -> UpdateResult:
            found = self._table.find(where)[:most]
            changed = [(document, updated(document, update)) for document in found]
            for before, after in changed:
                self._table.put(before, after)
            inserted = self._table.insert(fresh(where, update)) if upsert and not found else None
            modified = sum(before != after for before, after in changed)
            return UpdateResult({"n": len(found) or int(inserted is not None), "nModified": modified,
                                 "upserted": inserted}, True)  # fmt: skip

        return await self._write(operation, effect)

    async def replace_one(
        self, where: Mapping[str, Any], replacement: Mapping[str, Any], upsert: bool = False
    ) -> UpdateResult:
        where, sent = _sent(dict(where)), _sent(dict(replacement))

        def effect() -> UpdateResult:
            found = self._table.find(where)[:1]
            inserted = None
            if found:
                self._table.put(found[0], {"_id": found[0]["_id"], **copied(sent)})
            elif upsert:
                inserted = self._table.insert({**fresh(where, {}), **copied(sent)})
            return UpdateResult({"n": len(found), "nModified": len(found), "upserted": inserted}, True)

        return await self._write("replace_one", effect)

    async def delete_one(self, where: Mapping[str, Any]) -> DeleteResult:
        return await self._delete("delete_one", where, 1)

    async def delete_many(self, where: Mapping[str, Any]) -> DeleteResult:
        return await self._delete("delete_many", where, None)

    async def _delete(self, operation: str, where: Mapping[str, Any], most: int | None) -> DeleteResult:
        def effect() -> DeleteResult:
            found = self._table.find(where)[:most]
            for document in found:
                self._table.remove(document)
            return DeleteResult({"n": len(found)}, True)

        return await self._write(operation, effect)

    async def create_indexes(self, indexes: Sequence[IndexModel]) -> list[str]:
        """Only what makes something unique has a meaning here."""
        made = [dict(index.document) for index in indexes]

        def effect() -> list[str]:
            for index in made:
                if index.get("unique"):
                    partial = index.get("partialFilterExpression")
                    self._table.add_index(UniqueIndex(index["name"], tuple(index["key"]), partial))
            return [index["name"] for index in made]

        return await self._write("create_indexes", effect)


class MemoryDatabase:
    """pymongo's AsyncDatabase: collections by name."""

    def __init__(self, store: MemoryStore, gate: Gate) -> None:
        self._store = store
        self._gate = gate

    def __getitem__(self, name: str) -> MemoryCollection:
        return MemoryCollection(self._store.table(name), self._gate)


class MemoryClient:
    """pymongo's AsyncMongoClient: a sign of life, and an end."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    @property
    def admin(self) -> "MemoryClient":
        return self

    async def command(self, name: str) -> Document:
        return await self._gate.read(f"admin.{name}", lambda: {"ok": 1})

    async def close(self) -> None:
        """Nothing to close."""


def perfdb_on(store: MemoryStore, gate: Gate) -> MongoPerfDB:
    """The stores that the leader uses, unchanged, on this memory."""
    client: Any = MemoryClient(gate)
    database: Any = MemoryDatabase(store, gate)
    return MongoPerfDB(client, database)
