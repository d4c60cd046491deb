"""What the model repository and its store of bytes owe, on every server that we claim to run on."""

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator

import onnx
import pytest
from bson import ObjectId
from onnx import TensorProto, helper
from simulation.blobs import MemoryBlobs
from support.clocks import FakeClock

from leader.perfdb.mongo import MongoPerfDB
from model_repo.gridfs import BUCKET, GridFsBlobs
from model_repo.protocol import Blob, BlobOwner
from model_repo.repository import ModelRepository
from shared.errors import Conflict, InvalidInput, InvalidModel, NotFound, TooLarge

Blobs = GridFsBlobs | MemoryBlobs

MAX_BYTES = 3_000_000
MODEL_A = BlobOwner("model", "a@1")
MODEL_B = BlobOwner("model", "b@1")


def tiny_onnx(width: int = 3) -> bytes:
    """A real model: one ReLU."""
    tensors = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", width]) for name in ("x", "y")]
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", tensors[:1], tensors[1:])
    made: onnx.ModelProto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    data: bytes = made.SerializeToString()
    return data


def digest(data: bytes) -> str:
    """SHA-256 as the API writes it."""
    return hashlib.sha256(data).hexdigest()


async def sent(data: bytes, *, piece: int = 65_536) -> AsyncIterator[bytes]:
    """As an upload arrives."""
    for start in range(0, len(data), piece):
        yield data[start : start + piece]


async def received(blob: Blob) -> bytes:
    """As a download is read."""
    return b"".join([chunk async for chunk in blob.chunks])


@pytest.fixture
def clock() -> FakeClock:
    """The repository's clock."""
    return FakeClock()


@pytest.fixture
def models(parts: tuple[MongoPerfDB, Blobs], clock: FakeClock) -> ModelRepository:
    """A repository in which version 7 of anything is in use."""

    async def in_use(name: str, version: int) -> bool:
        return (name, version) == ("busy", 1)

    return ModelRepository(parts[0].models, parts[1], clock, max_bytes=MAX_BYTES, in_use=in_use)


async def put(blobs: Blobs, data: bytes, owner: BlobOwner = MODEL_A, max_bytes: int = 10_000_000) -> int:
    """Store what its own digest says."""
    return await blobs.put(sent(data), sha256=digest(data), size_bytes=len(data), max_bytes=max_bytes, owner=owner)


async def files_in(blobs: Blobs) -> int:
    """How many contents there are."""
    if isinstance(blobs, MemoryBlobs):
        return len(blobs._contents)
    return len(await blobs._database[f"{BUCKET}.files"].find({}).to_list())


async def notes_in(blobs: Blobs) -> int:
    """How much is noted as being written or dropped."""
    return 0 if isinstance(blobs, MemoryBlobs) else len(await blobs._garbage.find({}).to_list())


# --- bytes


@pytest.mark.parametrize("size", [0, 1, 1_048_576, 2_500_001])
async def test_bytes_come_back_as_they_went(blobs: Blobs, size: int) -> None:
    """Empty, small, exactly one chunk, several chunks."""
    data = os.urandom(size)
    assert await put(blobs, data) == size
    blob = await blobs.open(digest(data), kinds=["model"])
    assert (blob.sha256, blob.size_bytes, await received(blob)) == (digest(data), size, data)


async def test_equal_bytes_are_stored_once_and_live_as_long_as_an_owner(blobs: Blobs) -> None:
    """Letting go twice, or of what never was, is no error."""
    data = os.urandom(5000)
    await asyncio.gather(put(blobs, data), put(blobs, data, MODEL_B))
    assert await files_in(blobs) == 1
    await blobs.release(digest(data), MODEL_A)
    assert await received(await blobs.open(digest(data), kinds=["model"])) == data
    await blobs.release(digest(data), MODEL_B)
    await blobs.release(digest(data), MODEL_B)
    await blobs.release("0" * 64, MODEL_B)
    with pytest.raises(NotFound):
        await blobs.open(digest(data), kinds=["model"])
    assert await files_in(blobs) == 0


async def test_bytes_are_opened_only_for_the_kinds_that_own_them(blobs: Blobs) -> None:
    """A follower that asks for models never gets another's artifacts."""
    data = b"samples"
    await put(blobs, data, BlobOwner("artifact", "run:1:samples"))
    with pytest.raises(NotFound):
        await blobs.open(digest(data), kinds=["model", "dataset"])


async def endless(counted: list[int]) -> AsyncIterator[bytes]:
    """Never stops by itself."""
    while True:
        counted.append(1)
        yield bytes(100_000)


async def test_the_limit_is_noticed_while_bytes_arrive(blobs: Blobs) -> None:
    """Not after they all have: an endless upload ends at the limit."""
    pieces: list[int] = []
    with pytest.raises(TooLarge):
        await blobs.put(endless(pieces), sha256="0" * 64, max_bytes=500_000, owner=MODEL_A)
    assert len(pieces) == 6


@pytest.mark.parametrize("fault", ["digest", "short"])
async def test_bytes_that_are_not_what_was_announced_leave_nothing(blobs: Blobs, fault: str) -> None:
    """Nothing can be opened, nothing is left behind."""
    data = os.urandom(2_000_000)
    sha256 = digest(b"other") if fault == "digest" else digest(data)
    size = len(data) if fault == "digest" else len(data) + 1
    with pytest.raises(InvalidInput, match="send them again"):
        await blobs.put(sent(data), sha256=sha256, size_bytes=size, max_bytes=10_000_000, owner=MODEL_A)
    with pytest.raises(NotFound):
        await blobs.open(sha256, kinds=["model"])
    assert await files_in(blobs) == 0
    assert await notes_in(blobs) == 0


async def test_an_upload_that_breaks_off_leaves_nothing(blobs: Blobs) -> None:
    """The caller went away in the middle."""

    async def broken() -> AsyncIterator[bytes]:
        yield bytes(1_500_000)
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        await blobs.put(broken(), sha256="0" * 64, max_bytes=10_000_000, owner=MODEL_A)
    assert await notes_in(blobs) == 0


async def test_sweeping_drops_what_a_crash_left_and_nothing_else(blobs: Blobs) -> None:
    """A crash after the bytes, before the blob: the note made first leads to them. A blob in use is safe."""
    if isinstance(blobs, MemoryBlobs):
        pytest.skip("what is stored in one piece leaves nothing half done")
    kept, lost = os.urandom(1000), ObjectId()
    await put(blobs, kept)
    found = await blobs._blobs.find_one({"_id": digest(kept)})
    assert found is not None
    await blobs._note(ObjectId(found["file_id"]))
    await blobs._note(lost)
    stream = blobs._bucket.open_upload_stream_with_id(lost, "lost")
    await stream.write(b"orphan")
    await stream.close()
    assert await blobs.sweep(older_than_s=3600) == 0
    assert await blobs.sweep(older_than_s=-2) == 1
    assert await files_in(blobs) == 1
    assert await received(await blobs.open(digest(kept), kinds=["model"])) == kept
    assert await notes_in(blobs) == 0


async def test_a_release_never_takes_bytes_from_a_new_owner(blobs: Blobs) -> None:
    """Put and release of the same content at once, many times: who owns it can read it."""
    data = os.urandom(3000)
    for _ in range(8):
        await put(blobs, data)
        await asyncio.gather(put(blobs, data, MODEL_B), blobs.release(digest(data), MODEL_A))
        assert await received(await blobs.open(digest(data), kinds=["model"])) == data
        await blobs.release(digest(data), MODEL_B)


# --- models


async def register(models: ModelRepository, data: bytes, name: str = "m") -> int:
    """Announce these bytes; the version."""
    view = await models.register(name=name, sha256=digest(data), size_bytes=len(data), card={"task": "test"})
    assert view.state == "pending"
    return view.version


async def ready(models: ModelRepository, data: bytes, name: str = "m") -> int:
    """Announce and send them; the version."""
    version = await register(models, data, name)
    view = await models.upload(name, version, sent(data))
    assert view.state == "ready"
    return version


async def test_a_model_is_pending_then_ready_then_served(models: ModelRepository) -> None:
    """The card gains what the file itself says."""
    data = tiny_onnx()
    version = await register(models, data)
    with pytest.raises(Conflict, match="pending"):
        await models.open("m", version)
    with pytest.raises(NotFound):
        await models.pin("m", "latest")
    view = await models.upload("m", version, sent(data, piece=7))
    assert (view.state, view.card["inputs"][0]["shape"], view.card["task"]) == ("ready", [-1, 3], "test")
    assert await received(await models.open("m", version)) == data
    again = await models.upload("m", version, sent(b"never read"))
    assert again == view
    pin = await models.pin("m", "latest")
    assert (pin.version, pin.sha256, pin.size_bytes, pin.card) == (version, digest(data), len(data), view.card)


@pytest.mark.parametrize("wrong", [tiny_onnx()[:-1], tiny_onnx()[:-1] + b"?", b""], ids=["short", "digest", "empty"])
async def test_a_truncated_or_altered_upload_may_be_sent_again(models: ModelRepository, wrong: bytes) -> None:
    """It stays pending; the right bytes still make it ready."""
    data = tiny_onnx()
    version = await register(models, data)
    with pytest.raises(InvalidModel, match="send them again"):
        await models.upload("m", version, sent(wrong))
    assert (await models.get("m", version)).state == "pending"
    assert (await models.upload("m", version, sent(data))).state == "ready"


async def test_more_bytes_than_announced_are_refused(models: ModelRepository) -> None:
    """At the first byte too many."""
    version = await register(models, tiny_onnx())
    with pytest.raises(TooLarge):
        await models.upload("m", version, sent(tiny_onnx() + b"!"))


async def test_bytes_that_are_no_onnx_are_refused_for_good(models: ModelRepository, blobs: Blobs) -> None:
    """With the reason, and nothing of them is stored."""
    data = b"PK\x03\x04 not a model"
    version = await register(models, data)
    with pytest.raises(InvalidModel):
        await models.upload("m", version, sent(data))
    view = await models.get("m", version)
    assert view.state == "refused"
    assert view.detail
    with pytest.raises(Conflict, match="register a new version"):
        await models.upload("m", version, sent(data))
    assert await files_in(blobs) == 0


async def test_versions_count_up_and_are_never_given_twice(models: ModelRepository) -> None:
    """Not even after a delete, and not to two at once."""
    data = tiny_onnx()
    numbers = await asyncio.gather(*(register(models, data) for _ in range(6)))
    assert sorted(numbers) == [1, 2, 3, 4, 5, 6]
    await models.delete("m", 6)
    assert await register(models, data) == 7
    with pytest.raises(NotFound):
        await models.get("m", 6)


async def test_latest_is_the_newest_that_is_ready(models: ModelRepository) -> None:
    """A pending or deleted one is passed over; a number means itself."""
    first, second = await ready(models, tiny_onnx()), await ready(models, tiny_onnx(4))
    await register(models, tiny_onnx(5))
    assert (await models.pin("m", "latest")).version == second
    await models.delete("m", second)
    assert (await models.pin("m", "latest")).version == first
    with pytest.raises(Conflict, match="pending"):
        await models.pin("m", 3)
    with pytest.raises(NotFound):
        await models.pin("nothing", "latest")


async def test_a_deleted_versions_bytes_live_while_another_has_them(models: ModelRepository) -> None:
    """Two names, one content."""
    data = tiny_onnx()
    await ready(models, data, "one")
    await ready(models, data, "two")
    await models.delete("one", 1)
    assert await received(await models.open("two", 1)) == data
    with pytest.raises(NotFound):
        await models.open("one", 1)


async def test_a_model_that_a_live_run_needs_stays(models: ModelRepository) -> None:
    """Conflict, and it can still be opened."""
    data = tiny_onnx()
    await ready(models, data, "busy")
    with pytest.raises(Conflict, match="cancel it or wait"):
        await models.delete("busy", 1)
    assert await received(await models.open("busy", 1)) == data


async def test_search_takes_text_as_text(models: ModelRepository) -> None:
    """In name or card, any case; a regular expression or an operator in it is only characters."""
    for name in ("resnet50", "resnet18", "crnn"):
        await register(models, tiny_onnx(), name)
    await models.update("crnn", 1, card={"description": "Reads a.b* and $ne"})

    async def names(text: str) -> list[str]:
        return [view.name for view in (await models.search(text=text)).items]

    assert await names("ResNet") == ["resnet18", "resnet50"]
    assert await names("A.B* and $NE") == ["crnn"]
    assert await names(".*") == []
    assert await names("") == ["crnn", "resnet18", "resnet50"]


async def test_search_is_paged_by_name_newest_version_first(models: ModelRepository) -> None:
    """The cursor leads through all of them once; a foreign cursor is refused."""
    for name in ("a", "b", "b", "c"):
        await register(models, tiny_onnx(), name)
    seen: list[tuple[str, int]] = []
    cursor: str | None = None
    while True:
        page = await models.search(limit=1, cursor=cursor)
        seen += [(view.name, view.version) for view in page.items]
        cursor = page.next_cursor
        if cursor is None:
            break
    assert seen == [("a", 1), ("b", 2), ("b", 1), ("c", 1)]
    with pytest.raises(InvalidInput, match="cursor"):
        await models.search(cursor="bm9uc2Vuc2U=")


async def test_a_card_may_change_but_not_what_the_file_says(models: ModelRepository) -> None:
    """The tensors of a ready model are its bytes' business."""
    version = await ready(models, tiny_onnx())
    updated = await models.update("m", version, card={"description": "new"})
    assert (updated.card["description"], updated.card["inputs"][0]["name"]) == ("new", "x")
    assert await models.get("m", version) == updated
    with pytest.raises(InvalidModel, match="inputs"):
        await models.update("m", version, card={"inputs": [{"name": "z", "datatype": "FP32", "shape": [-1]}]})
    with pytest.raises(InvalidModel):
        await models.update("m", version, card={"$set": {"state": "ready"}})


async def test_what_a_model_was_converted_from_does_not_change_with_its_card(models: ModelRepository) -> None:
    """It is kept where a new card leaves it out, and a new card cannot say otherwise."""
    lineage = {
        "conversion": "fp16",
        "source": {"name": "s", "version": 2, "sha256": "0" * 64},
        "tool": "onnxruntime 1",
        "parameters": {"operators": ["MatMul"]},
        "check": {"inputs": "synthetic", "samples": 8, "max_abs_error": 0.5, "max_rel_error": 0.25},
    }
    data = tiny_onnx()
    announced = await models.register(
        name="m", sha256=hashlib.sha256(data).hexdigest(), size_bytes=len(data), card={"lineage": lineage}
    )
    version = (await models.upload("m", announced.version, sent(data))).version
    updated = await models.update("m", version, card={"description": "new"})
    assert updated.card["lineage"]["source"] == lineage["source"]
    await models.update("m", version, card=updated.card)
    with pytest.raises(InvalidModel, match="lineage"):
        await models.update("m", version, card={"lineage": {**lineage, "tool": "magic"}})


@pytest.mark.parametrize(
    ("field", "value"),
    [("name", "../etc"), ("name", "$ne"), ("name", "A"), ("sha256", "zz"), ("sha256", "0" * 63), ("size_bytes", 0)],
)
async def test_what_cannot_be_right_is_refused_at_once(models: ModelRepository, field: str, value: object) -> None:
    """Before anything is stored."""
    wanted = {"name": "m", "sha256": "0" * 64, "size_bytes": 5, "card": {}, field: value}
    with pytest.raises(InvalidInput):
        await models.register(**wanted)  # type: ignore[arg-type]
    assert (await models.search()).items == ()


async def test_a_model_above_the_limit_is_refused_before_its_bytes_come(models: ModelRepository) -> None:
    """By what it announces."""
    with pytest.raises(TooLarge):
        await models.register(name="m", sha256="0" * 64, size_bytes=MAX_BYTES + 1, card={})


async def test_abandoned_uploads_are_swept(models: ModelRepository, clock: FakeClock) -> None:
    """Only those that have waited long enough."""
    await register(models, tiny_onnx())
    clock.advance(1000)
    await register(models, tiny_onnx(4))
    await ready(models, tiny_onnx(5))
    assert await models.sweep(pending_older_than_s=500) == 1
    assert [view.version for view in (await models.search()).items] == [3, 2]
