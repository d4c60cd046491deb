"""What conversions in the background need of PerfDB, on every server that this runs on."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest
from support.stored_runs import T0

from leader.perfdb.entities import Conversion
from leader.perfdb.mongo import MongoPerfDB
from shared.errors import NotFound
from shared.jobs import conversion as life
from shared.jobs.conversion import ConversionLease, ConversionState, ProducedModel
from shared.wire.assignment import ModelPin

SOURCE = ModelPin(name="net", version=2, sha256="ab" * 32, size_bytes=10, card={"labels": ["$a", "b.c"], "n": None})


def conversion(number: int = 1, **changes: object) -> Conversion:
    """A queued one."""
    made = Conversion(
        id=f"c-{number:026d}", owner="ann", idempotency_key=f"k-{number}", body_sha256="0" * 64, source=SOURCE,
        to="int8", dataset=None, name="net-int8",
        created_at=T0, updated_at=T0,
    )  # fmt: skip
    return replace(made, **changes)  # type: ignore[arg-type]  # fields of Conversion


def lease(converter: str = "w1") -> ConversionLease:
    """Of this converter."""
    return ConversionLease(converter=converter, incarnation="i-1", expires_at=T0 + timedelta(seconds=15))


async def claimed(db: MongoPerfDB, stored: Conversion, converter: str = "w1") -> Conversion | None:
    """The conversion, if this converter gets it."""
    return await db.conversions.move(stored, life.claim(stored.status, lease(converter)), at=T0)


async def test_what_is_stored_comes_back(db: MongoPerfDB) -> None:
    """Every field, through every kind of move."""
    stored = conversion(dataset="text-lines")
    await db.conversions.add(stored)
    assert await db.conversions.get(stored.id) == stored
    held = await claimed(db, stored)
    assert held is not None
    assert await db.conversions.get(stored.id) == held
    made = ProducedModel(name="net-int8", version=1, sha256="cd" * 32)
    later = T0 + timedelta(seconds=3)
    announced = await db.conversions.move(held, life.announce(held.status, made), at=later)
    assert announced is not None
    assert (announced.updated_at, announced.moves, announced.status.produced) == (later, 2, made)
    assert await db.conversions.get(stored.id) == announced
    with pytest.raises(NotFound):
        await db.conversions.get("c-nobody")


async def test_one_key_of_an_owner_is_one_conversion(db: MongoPerfDB) -> None:
    """Whatever else is asked for the second time; another owner's key is another."""
    first = await db.conversions.add(conversion())
    assert await db.conversions.add(conversion(2, idempotency_key="k-1", to="fp16")) == first
    other = conversion(3, idempotency_key="k-1", owner="bob")
    assert await db.conversions.add(other) == other
    assert len(await db.conversions.page(None, before=None, limit=9)) == 2


async def test_of_several_who_claim_exactly_one_gets_it(db: MongoPerfDB) -> None:
    """Compare-and-set on the count of moves."""
    stored = conversion()
    await db.conversions.add(stored)
    won = await asyncio.gather(*(claimed(db, stored, f"w{number}") for number in range(8)))
    winners = [one for one in won if one is not None]
    assert len(winners) == 1
    assert await db.conversions.get(stored.id) == winners[0]


async def test_a_renewal_is_not_lost_to_one_who_looked_before_it(db: MongoPerfDB) -> None:
    """State and fence are the same; the count of moves is not."""
    await db.conversions.add(conversion())
    held = await claimed(db, conversion())
    assert held is not None
    renewed = await db.conversions.move(held, life.renew(held.status, T0 + timedelta(seconds=30), None), at=T0)
    assert renewed is not None
    assert await db.conversions.move(held, life.lose(held.status, "silent"), at=T0) is None
    assert await db.conversions.get(held.id) == renewed


async def test_lists_are_in_order_and_bounded(db: MongoPerfDB) -> None:
    """Newest first for people, oldest first for converters; each of one state."""
    for number in (2, 1, 3):
        await db.conversions.add(conversion(number))
    await claimed(db, conversion(2))
    pages = [await db.conversions.page(None, before=before, limit=2) for before in (None, conversion(2).id)]
    assert [[one.id for one in page] for page in pages] == [[conversion(3).id, conversion(2).id], [conversion(1).id]]
    queued = await db.conversions.page(ConversionState.QUEUED, before=conversion(3).id, limit=5)
    assert [one.id for one in queued] == [conversion(1).id]
    oldest = await db.conversions.oldest(ConversionState.QUEUED, limit=5)
    assert [one.id for one in oldest] == [conversion(1).id, conversion(3).id]
    assert [one.id for one in await db.conversions.oldest(ConversionState.QUEUED, limit=1)] == [conversion(1).id]
    assert [one.id for one in await db.conversions.oldest(ConversionState.RUNNING, limit=5)] == [conversion(2).id]


async def test_a_source_is_needed_until_its_conversions_have_ended(db: MongoPerfDB) -> None:
    """This version of it, and no other."""
    await db.conversions.add(conversion())
    assert await db.conversions.needs_model("net", 2)
    assert not await db.conversions.needs_model("net", 1)
    assert not await db.conversions.needs_model("other", 2)
    stored = await db.conversions.get(conversion().id)
    await db.conversions.move(stored, life.cancel(stored.status, "cancelled by ann"), at=T0)
    assert not await db.conversions.needs_model("net", 2)
