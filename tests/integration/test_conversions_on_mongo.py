"""The queue of conversions on the embedded database: it loses none, and carries each out once."""

import asyncio
import hashlib
from typing import Any

import pytest
from support.desks import Workplace, stream, workplace

from model_repo.canonical.families import generate
from shared.errors import Conflict, IdempotencyMismatch, InvalidInput, NotFound, StaleFence
from shared.jobs.conversion import NOBODY_YET
from shared.jobs.spec import FullyConnectedModel
from shared.wire.conversions import (
    ConversionEnd,
    ConversionLeaseCall,
    ConversionOrder,
    ConversionView,
    ConverterClaim,
    NewConversion,
    NewResult,
)

SILENT_S = 19.0
"""Longer than a lease and its grace."""

MODEL = generate(FullyConnectedModel(family="fc", layers=1, width=8))
BYTES = MODEL.onnx_bytes
SHA256 = hashlib.sha256(BYTES).hexdigest()


async def register(place: Workplace, name: str = "net") -> None:
    """A model that is ready."""
    card = MODEL.card.model_dump(mode="json")
    view = await place.desk.models.register(name=name, sha256=SHA256, size_bytes=len(BYTES), card=card)
    await place.desk.models.upload(name, view.version, stream(BYTES))


async def ask(place: Workplace, **changes: Any) -> ConversionView:
    """Ann wants version 1 of net as INT8."""
    place.clock.advance(0.001)  # ids are ordered by the millisecond
    new = NewConversion.model_validate({"model": {"name": "net"}, "to": "int8", **changes})
    return await place.desk.conversions.submit(new, "ann")


async def claim(place: Workplace, converter: str = "w1", incarnation: str = "i-1") -> ConversionOrder | None:
    """What this converter is given."""
    return (await place.desk.converters.claim(converter, ConverterClaim(incarnation=incarnation))).order


async def claimed(place: Workplace, converter: str = "w1") -> ConversionOrder:
    """What is there to be given."""
    order = await claim(place, converter)
    assert order is not None
    return order


def result_of(order: ConversionOrder, **changes: Any) -> NewResult:
    """What a converter announces; the same bytes will do."""
    check = {"inputs": "synthetic", "samples": 16, "max_abs_error": 0.0, "max_rel_error": 0.0}
    source = {name: getattr(order.source, name) for name in ("name", "version", "sha256")}
    lineage = {"conversion": order.to, "source": source, "tool": "a test", "check": check, **changes}
    card = {**MODEL.card.model_dump(mode="json"), "lineage": lineage}
    return NewResult(fence=order.fence, sha256=SHA256, size_bytes=len(BYTES), card=card)


async def deliver(place: Workplace, order: ConversionOrder, converter: str = "w1") -> None:
    """Announce and upload, as far as that."""
    await place.desk.converters.announce(converter, order.id, result_of(order))
    await place.desk.converters.upload(converter, order.id, order.fence, stream(BYTES))


async def finish(
    place: Workplace, order: ConversionOrder, outcome: Any, detail: str = "", converter: str = "w1"
) -> ConversionView:
    """Tell the end."""
    end = ConversionEnd(fence=order.fence, outcome=outcome, detail=detail)
    return await place.desk.converters.finish(converter, order.id, end)


async def test_a_conversion_is_queued_claimed_delivered_and_registered(place: Workplace) -> None:
    """The new version is ready, has its lineage, and nothing is left in the queue."""
    await register(place)
    asked = await ask(place)
    assert (asked.state, asked.name, asked.version, asked.waiting) == ("queued", "net-int8", 1, NOBODY_YET)
    assert place.bell.rung == ["@converters"]
    order = await claimed(place)
    assert (order.id, order.attempt, order.source.sha256) == (asked.id, 1, SHA256)
    assert (await place.desk.conversions.get(asked.id)).state == "running"
    await deliver(place, order)
    ended = await finish(place, order, "converted")
    assert (ended.state, ended.cause) == ("succeeded", "version 1 of net-int8 is ready")
    new = await place.desk.models.get("net-int8", 1)
    assert (new.state, new.card["lineage"]["source"]["name"]) == ("ready", "net")
    assert await finish(place, order, "converted") == ended
    assert await claim(place) is None


async def test_the_oldest_is_claimed_first_and_many_converters_take_each_once(place: Workplace) -> None:
    """Six fight for ten."""
    await register(place)
    ids = [(await ask(place)).id for _ in range(10)]
    first = await claimed(place, "w0")
    assert first.id == ids[0]

    async def work(converter: str) -> list[str]:
        taken = []
        while order := await claim(place, converter):
            taken.append(order.id)
            await finish(place, order, "refused", "no", converter)
        return taken

    taken = await asyncio.gather(*(work(f"w{number}") for number in range(1, 7)))
    assert sorted(one for each in taken for one in each) == ids[1:]


async def test_a_claim_whose_answer_got_lost_gives_the_same_conversion(place: Workplace) -> None:
    """To the same process; another one of that name gets the next."""
    await register(place)
    await ask(place)
    second = await ask(place)
    order = await claimed(place)
    assert await claimed(place) == order
    other = await claim(place, "w1", "i-2")
    assert other is not None
    assert other.id == second.id


async def test_a_lost_converters_work_is_done_by_another(place: Workplace) -> None:
    """Once its lease has stood for too long, and no sooner; what the lost one still says is refused."""
    await register(place)
    asked = await ask(place)
    lost = await claimed(place)
    await place.desk.lost_conversions.run_once()
    place.clock.advance(SILENT_S - 5)
    assert await place.desk.lost_conversions.run_once() == 0
    place.clock.advance(5.1)
    assert await place.desk.lost_conversions.run_once() == 1
    again = await place.desk.conversions.get(asked.id)
    assert (again.state, again.cause) == ("queued", "converter w1 went silent during attempt 1")
    order = await claimed(place, "w2")
    assert (order.attempt, order.fence > lost.fence) == (2, True)
    for call in (
        place.desk.converters.renew("w1", asked.id, ConversionLeaseCall(fence=lost.fence)),
        place.desk.converters.announce("w1", asked.id, result_of(lost)),
        place.desk.converters.upload("w1", asked.id, lost.fence, stream(BYTES)),
        finish(place, lost, "converted"),
    ):
        with pytest.raises(StaleFence):
            await call
    await deliver(place, order, "w2")
    assert (await finish(place, order, "converted", converter="w2")).result is not None


async def test_a_renewed_lease_keeps_the_conversion(place: Workplace) -> None:
    """And tells what it stands still for."""
    await register(place)
    asked = await ask(place)
    order = await claimed(place)
    for _ in range(4):
        await place.desk.lost_conversions.run_once()
        place.clock.advance(SILENT_S / 2)
        call = ConversionLeaseCall(fence=order.fence, waiting="follower f1 is measuring")
        assert (await place.desk.converters.renew("w1", asked.id, call)).lease_s == 15.0
    view = await place.desk.conversions.get(asked.id)
    assert (view.state, view.waiting) == ("running", "follower f1 is measuring")


async def test_a_conversion_that_loses_three_converters_has_failed(place: Workplace) -> None:
    """By silence or by a broken machine; one that was merely stopped does not count."""
    await register(place)
    asked = await ask(place)
    assert (await finish(place, await claimed(place), "stopped")).state == "queued"
    assert (await finish(place, await claimed(place), "broken", "no space left on device")).state == "queued"
    for _ in range(2):
        await claimed(place)
        await place.desk.lost_conversions.run_once()
        place.clock.advance(SILENT_S)
        await place.desk.lost_conversions.run_once()
    view = await place.desk.conversions.get(asked.id)
    assert (view.state, view.attempt) == ("failed", 4)
    assert view.cause == "3 attempts were lost; the last one: converter w1 went silent during attempt 4"
    assert await claim(place) is None


async def test_a_converter_that_dies_after_its_upload_has_done_its_work(place: Workplace) -> None:
    """The result is there: nobody makes it a second time."""
    await register(place)
    asked = await ask(place)
    await deliver(place, await claimed(place))
    await place.desk.lost_conversions.run_once()
    place.clock.advance(SILENT_S)
    await place.desk.lost_conversions.run_once()
    view = await place.desk.conversions.get(asked.id)
    assert (view.state, view.result is not None) == ("succeeded", True)


async def test_an_announcement_sent_again_registers_no_second_version(place: Workplace) -> None:
    """Nor does an upload sent again harm."""
    await register(place)
    await ask(place)
    order = await claimed(place)
    first = await place.desk.converters.announce("w1", order.id, result_of(order))
    assert await place.desk.converters.announce("w1", order.id, result_of(order)) == first
    for _ in range(2):
        await place.desk.converters.upload("w1", order.id, order.fence, stream(BYTES))
    assert first.version == 1
    with pytest.raises(NotFound):
        await place.desk.models.get("net-int8", 2)


async def test_a_converter_registers_what_it_was_asked_for_and_nothing_else(place: Workplace) -> None:
    """The lineage decides; and an end without a result is none."""
    await register(place)
    await ask(place)
    order = await claimed(place)
    for lineage in ({"conversion": "fp16"}, {"source": {"name": "net", "version": 7, "sha256": SHA256}}):
        with pytest.raises(InvalidInput, match="lineage must be: int8 of version 1 of net"):
            await place.desk.converters.announce("w1", order.id, result_of(order, **lineage))
    with pytest.raises(Conflict, match="not uploaded"):
        await finish(place, order, "converted")
    with pytest.raises(Conflict, match="no result announced"):
        await place.desk.converters.upload("w1", order.id, order.fence, stream(BYTES))


async def test_a_cancelled_conversion_stays_so_and_leaves_no_model(place: Workplace) -> None:
    """Queued or running, whatever its converter still sends."""
    await register(place)
    queued, running = await ask(place), await ask(place)
    await place.desk.conversions.cancel(queued.id, "bob")
    order = await claimed(place)
    assert order.id == running.id
    await deliver(place, order)
    view = await place.desk.conversions.cancel(running.id, "bob")
    assert (view.state, view.cause) == ("cancelled", "cancelled by bob")
    assert await place.desk.conversions.cancel(running.id, "eve") == view
    with pytest.raises(StaleFence):
        await finish(place, order, "converted")
    with pytest.raises(NotFound):
        await place.desk.models.get("net-int8", 1)
    assert await claim(place) is None


async def test_an_ended_conversion_cannot_be_cancelled(place: Workplace) -> None:
    """What is done is done."""
    await register(place)
    asked = await ask(place)
    await finish(place, await claimed(place), "refused", "the model has no inputs")
    with pytest.raises(Conflict, match="is failed already"):
        await place.desk.conversions.cancel(asked.id, "ann")
    assert (await place.desk.conversions.get(asked.id)).cause == "the model has no inputs"


async def test_who_waits_is_told_for_what(place: Workplace) -> None:
    """A converter beside a follower that measures takes nothing, and says so."""
    await register(place)
    asked = await ask(place)
    claim_nothing = ConverterClaim(incarnation="i-1", waiting="follower f1 measures here")
    assert (await place.desk.converters.claim("w1", claim_nothing)).order is None
    view = await place.desk.conversions.get(asked.id)
    assert (view.state, view.waiting) == ("queued", "converter w1: follower f1 measures here")


async def test_a_source_cannot_be_deleted_while_it_is_needed(place: Workplace) -> None:
    """As for a run."""
    await register(place)
    asked = await ask(place)
    with pytest.raises(Conflict):
        await place.desk.models.delete("net", 1)
    await place.desk.conversions.cancel(asked.id, "ann")
    await place.desk.models.delete("net", 1)


async def test_what_cannot_be_converted_is_refused_when_it_is_asked_for(place: Workplace) -> None:
    """By the card alone; what would be possible is said."""
    await register(place)
    with pytest.raises(InvalidInput, match="possible: "):
        await ask(place, to="int4")
    with pytest.raises(NotFound):
        await ask(place, model={"name": "nobody"})
    assert (await place.desk.conversions.list()).items == ()


async def test_the_same_wish_under_one_key_is_one_conversion(place: Workplace) -> None:
    """Another wish under it is a mistake, and is said to be."""
    await register(place)
    wish, other = (NewConversion.model_validate({"model": {"name": "net"}, "to": to}) for to in ("int8", "fp16"))
    first = await place.desk.conversions.submit(wish, "ann", "k")
    assert await place.desk.conversions.submit(wish, "ann", "k") == first
    with pytest.raises(IdempotencyMismatch, match=first.id):
        await place.desk.conversions.submit(other, "ann", "k")
    assert (await place.desk.conversions.submit(other, "bob", "k")).id != first.id


async def test_conversions_are_listed_in_pages_newest_first(place: Workplace) -> None:
    """And by state."""
    await register(place)
    ids = [(await ask(place, **{"as": f"net-{number}"})).id for number in range(3)]
    page = await place.desk.conversions.list(limit=2)
    rest = await place.desk.conversions.list(limit=2, cursor=page.next_cursor)
    assert [one.id for one in (*page.items, *rest.items)] == ids[::-1]
    assert rest.next_cursor is None
    with pytest.raises(InvalidInput):
        await place.desk.conversions.list(cursor="j-1")


async def test_another_leader_takes_back_what_the_first_one_gave(mongo_url: str) -> None:
    """The database is the queue; a leader that was just started sees for itself how long a lease stands."""
    async with workplace(mongo_url) as first:
        await register(first)
        asked = await ask(first)
        await claimed(first)
        async with workplace(mongo_url, clock=first.clock) as second:
            await second.desk.lost_conversions.run_once()
            first.clock.advance(SILENT_S)
            assert await second.desk.lost_conversions.run_once() == 1
            assert await first.desk.lost_conversions.run_once() == 0
            assert (await claimed(second, "w2")).id == asked.id
