"""The one way in which lists are read: match, sort, limit, as a pipeline, which every server serves from an index."""

from collections.abc import Mapping, Sequence
from typing import Any

from pymongo.asynchronous.collection import AsyncCollection

Document = dict[str, Any]
Documents = AsyncCollection[Document]


async def select(
    collection: Documents,
    where: Mapping[str, Any],
    sort: Sequence[tuple[str, int]],
    limit: int,
    *,
    fields: Sequence[str] = (),
) -> list[Document]:
    """Documents that match, in order; whole, or of them only these ``fields`` of the top level.

    ``sort`` names an index's fields behind those that ``where`` fixes. Fields are neither renamed nor taken from
    inside others: the embedded server would look through the whole collection to do so.
    """
    pipeline: list[Document] = [{"$match": dict(where)}, {"$sort": dict(sort)}, {"$limit": limit}]
    if fields:
        pipeline.append({"$project": dict.fromkeys(fields, 1)})
    return await (await collection.aggregate(pipeline)).to_list()


async def tally(collection: Documents, where: Mapping[str, Any], field: str) -> dict[Any, int]:
    """Value of ``field`` -> number of matching documents that have it."""
    pipeline = [{"$match": dict(where)}, {"$group": {"_id": f"${field}", "n": {"$sum": 1}}}]
    return {group["_id"]: int(group["n"]) for group in await (await collection.aggregate(pipeline)).to_list()}


def given(**fields: str | None) -> Document:
    """An equality filter of the fields that are given. A value is a string, so it can never be an operator."""
    return {name: str(value) for name, value in fields.items() if value is not None}
