"""The story of a conversion, cut off at each of its calls to the store: it ends as it would have, and once."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

import pytest
from pymongo.errors import AutoReconnect
from simulation.blobs import MemoryBlobs, StoredBlob
from simulation.memory import MemoryStore, perfdb_on
from support.clocks import FakeClock
from support.desks import RecordingBell, stream

from leader.manage.desk import Desk, build_desk
from leader.manage.policy import LeasePolicy
from model_repo.canonical.families import generate
from shared.errors import NotFound, Unavailable
from shared.jobs.spec import FullyConnectedModel
from shared.wire.conversions import ConversionEnd, ConversionOrder, ConverterClaim, NewConversion, NewResult

ResultT = TypeVar("ResultT")
Cut = Literal["before", "after"]

MODEL = generate(FullyConnectedModel(family="fc", layers=1, width=8))
BYTES = MODEL.onnx_bytes
SHA256 = hashlib.sha256(BYTES).hexdigest()
SILENT_S = 19.0
"""Longer than a lease and its grace."""


@dataclass
class BreakingGate:
    """simulation.memory.Gate that fails the call with this number, before or after it was done."""

    fails_at: int = 0
    cut: Cut = "before"
    calls: int = 0

    async def read(self, _name: str, effect: Callable[[], ResultT]) -> ResultT:
        return await self.write(_name, effect)

    async def write(self, name: str, effect: Callable[[], ResultT]) -> ResultT:
        self.calls += 1
        await asyncio.sleep(0)
        if self.calls == self.fails_at:
            if self.cut == "after":
                effect()
            raise AutoReconnect(f"cut off {self.cut} {name}")
        return effect()


@dataclass
class World:
    """What outlives leaders: documents, blobs, time."""

    clock: FakeClock = field(default_factory=FakeClock)
    store: MemoryStore = field(default_factory=MemoryStore)
    contents: dict[str, StoredBlob] = field(default_factory=dict)

    async def leader(self) -> tuple[Desk, BreakingGate]:
        """Another one, started."""
        gate = BreakingGate()
        blobs: Any = MemoryBlobs(self.contents, gate)
        desk = build_desk(
            perfdb=perfdb_on(self.store, gate), blobs=blobs, bell=RecordingBell(), clock=self.clock,
            policy=LeasePolicy(), broker_url=None, max_upload_bytes=1_000_000,
        )  # fmt: skip
        await desk.start()
        return desk, gate


async def with_source() -> World:
    """One model is registered."""
    world = World()
    desk, _ = await world.leader()
    await desk.models.register(
        name="net", sha256=SHA256, size_bytes=len(BYTES), card=MODEL.card.model_dump(mode="json")
    )
    await desk.models.upload("net", 1, stream(BYTES))
    return world


async def patiently(call: Callable[[], Awaitable[ResultT]]) -> ResultT:
    """As a client and a converter do: sent again until there is an answer."""
    for _ in range(5):
        try:
            return await call()
        except Unavailable:
            await asyncio.sleep(0)
    return await call()


def result_of(order: ConversionOrder) -> NewResult:
    """The same bytes will do."""
    check = {"inputs": "synthetic", "samples": 16, "max_abs_error": 0.0, "max_rel_error": 0.0}
    source = {name: getattr(order.source, name) for name in ("name", "version", "sha256")}
    lineage = {"conversion": order.to, "source": source, "tool": "a test", "check": check}
    card = {**MODEL.card.model_dump(mode="json"), "lineage": lineage}
    return NewResult(fence=order.fence, sha256=SHA256, size_bytes=len(BYTES), card=card)


async def ask(desk: Desk) -> str:
    """Ann's wish; the id of what is accepted."""
    new = NewConversion.model_validate({"model": {"name": "net"}, "to": "int8"})
    return (await patiently(lambda: desk.conversions.submit(new, "ann", "key-1"))).id


async def work(desk: Desk, converter: str) -> None:
    """All that a converter does for one conversion, if there is one."""
    order = (await patiently(lambda: desk.converters.claim(converter, ConverterClaim(incarnation="i")))).order
    if order is None:
        return
    await patiently(lambda: desk.converters.announce(converter, order.id, result_of(order)))
    await patiently(lambda: desk.converters.upload(converter, order.id, order.fence, stream(BYTES)))
    end = ConversionEnd(fence=order.fence, outcome="converted")
    await patiently(lambda: desk.converters.finish(converter, order.id, end))


async def check(desk: Desk, conversion: str) -> None:
    """It has succeeded; there is one conversion, and one version of the new model is ready."""
    assert [one.id for one in (await desk.conversions.list()).items] == [conversion]
    view = await desk.conversions.get(conversion)
    assert view.state == "succeeded", view
    assert view.result is not None
    found = (await desk.models.search(text="net-int8")).items
    assert [one.version for one in found if one.state == "ready"] == [view.result.version]


async def calls_of_the_story() -> int:
    """How many calls the undisturbed story makes."""
    world = await with_source()
    desk, gate = await world.leader()
    gate.calls = 0
    conversion = await ask(desk)
    await work(desk, "w1")
    calls = gate.calls
    await check(desk, conversion)
    return calls


@pytest.mark.parametrize("cut", ["before", "after"])
async def test_a_call_that_is_not_answered_is_made_again_and_harms_nothing(cut: Cut) -> None:
    """The leader lives on; each call in turn is not made, or its answer is lost."""
    calls = await calls_of_the_story()
    assert calls > 10
    for number in range(1, calls + 1):
        world = await with_source()
        desk, gate = await world.leader()
        gate.calls, gate.fails_at, gate.cut = 0, number, cut
        conversion = await ask(desk)
        await work(desk, "w1")
        await check(desk, conversion)


@pytest.mark.parametrize("cut", ["before", "after"])
async def test_leader_and_converter_may_die_at_any_call(cut: Cut) -> None:
    """Another leader sees the lease stand still, and another converter does what is left."""
    for number in range(1, await calls_of_the_story() + 1):
        world = await with_source()
        desk, gate = await world.leader()
        gate.calls, gate.fails_at, gate.cut = 0, number, cut
        try:
            new = NewConversion.model_validate({"model": {"name": "net"}, "to": "int8"})
            await desk.conversions.submit(new, "ann", "key-1")
            await dying(desk, "w1")
        except Unavailable:
            assert gate.calls >= number
        other, _ = await world.leader()
        conversion = await ask(other)  # who has no answer asks again
        for _ in range(2):
            await other.lost_conversions.run_once()
            world.clock.advance(SILENT_S)
        await other.lost_conversions.run_once()
        await work(other, "w2")
        await check(other, conversion)


async def dying(desk: Desk, converter: str) -> None:
    """As ``work``, by one that dies with the first call that is not answered."""
    order = (await desk.converters.claim(converter, ConverterClaim(incarnation="i"))).order
    assert order is not None
    await desk.converters.announce(converter, order.id, result_of(order))
    await desk.converters.upload(converter, order.id, order.fence, stream(BYTES))
    await desk.converters.finish(converter, order.id, ConversionEnd(fence=order.fence, outcome="converted"))


async def test_a_cancel_during_the_upload_leaves_no_model() -> None:
    """The converter learns of it when it has sent the last byte."""
    world = await with_source()
    desk, _ = await world.leader()
    conversion = await ask(desk)
    order = (await desk.converters.claim("w1", ConverterClaim(incarnation="i"))).order
    assert order is not None
    await desk.converters.announce("w1", order.id, result_of(order))

    async def chunks() -> Any:
        yield BYTES[:10]
        await desk.conversions.cancel(conversion, "bob")
        yield BYTES[10:]

    with pytest.raises(NotFound):
        await desk.converters.upload("w1", order.id, order.fence, chunks())
    assert (await desk.conversions.get(conversion)).state == "cancelled"
    assert [one for one in (await desk.models.search(text="net-int8")).items if one.state == "ready"] == []
