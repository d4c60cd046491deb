"""A leader that dies at any write of the blob store leaves nothing that the next sweep does not put right."""

import hashlib
from collections.abc import AsyncIterator, Callable
from typing import Final, Literal, TypeVar

import pytest

from model_repo.gridfs import BUCKET, GridFsBlobs
from model_repo.protocol import BlobOwner
from shared.errors import NotFound
from simulation.grid import grid_on
from simulation.memory import MemoryStore, OpenGate
from simulation.points import store_method

ResultT = TypeVar("ResultT")

FIRST, SECOND = BlobOwner("artifact", "run:1:log"), BlobOwner("artifact", "run:2:log")
SMALL, LARGE = b"small", bytes(1024 * 1024 + 7)
"""One piece, and two."""
OLDER_THAN_S: Final = -60.0
MOST: Final = 10_000_000


class Dead(BaseException):
    """The process is gone."""


class Dying(OpenGate):
    """Dies before or after its n-th write, and does nothing from then on."""

    def __init__(self, number: int = 0, when: Literal["before", "after"] = "before") -> None:
        self.methods: list[str] = []
        self._number, self._when = number, when
        self._dead = False

    async def read(self, name: str, effect: Callable[[], ResultT]) -> ResultT:
        if self._dead:
            raise Dead
        return await super().read(name, effect)

    async def write(self, name: str, effect: Callable[[], ResultT]) -> ResultT:
        self.methods.append(store_method())
        self._dead = self._dead or len(self.methods) == self._number
        if not self._dead:
            return await super().write(name, effect)
        if self._when == "after" and len(self.methods) == self._number:
            effect()
        raise Dead


def sha256_of(data: bytes) -> str:
    """Its name."""
    return hashlib.sha256(data).hexdigest()


async def put(blobs: GridFsBlobs, data: bytes, owner: BlobOwner) -> None:
    """Store it, in two halves."""

    async def halves() -> AsyncIterator[bytes]:
        yield data[: len(data) // 2]
        yield data[len(data) // 2 :]

    await blobs.put(halves(), sha256=sha256_of(data), max_bytes=MOST, owner=owner)


async def life(blobs: GridFsBlobs, kept: dict[tuple[bytes, BlobOwner], bool]) -> None:
    """Two contents, one with two owners, who go one after the other. ``kept``: what was answered last."""
    for data, owner in ((SMALL, FIRST), (LARGE, FIRST), (SMALL, SECOND)):
        await put(blobs, data, owner)
        kept[data, owner] = True
    for data, owner in ((SMALL, FIRST), (SMALL, SECOND), (LARGE, FIRST)):
        del kept[data, owner]  # from now on nobody asks for it
        await blobs.release(sha256_of(data), owner)
    await put(blobs, SMALL, SECOND)
    kept[SMALL, SECOND] = True


async def whole(blobs: GridFsBlobs, data: bytes) -> bytes | None:
    """What is stored under its digest."""
    try:
        return b"".join([chunk async for chunk in (await blobs.open(sha256_of(data), kinds=["artifact"])).chunks])
    except NotFound:
        return None


def left_over(store: MemoryStore) -> list[object]:
    """Files, pieces and notes that belong to no content."""
    of = {name: list(store.table(name).documents.values()) for name in (BUCKET, f"{BUCKET}.files", f"{BUCKET}.chunks")}
    kept = {str(blob["file_id"]) for blob in of[BUCKET] if blob["owners"]}
    empty = [blob for blob in of[BUCKET] if not blob["owners"]]
    files = [file for file in of[f"{BUCKET}.files"] if str(file["_id"]) not in kept]
    pieces = [piece for piece in of[f"{BUCKET}.chunks"] if str(piece["files_id"]) not in kept]
    return [*files, *pieces, *empty, *store.table("blob_garbage").documents.values()]


async def writes() -> list[str]:
    """The methods that write in a life which nothing cuts short, in order."""
    gate = Dying()
    await life(grid_on(MemoryStore())(None, gate), {})
    return gate.methods


async def test_whatever_was_acknowledged_is_there_and_nothing_else_is_left() -> None:
    """At every write of a life with two contents and two owners, on both sides of it, after one sweep."""
    for number in range(1, len(await writes()) + 1):
        for when in ("before", "after"):
            store = MemoryStore()
            kept: dict[tuple[bytes, BlobOwner], bool] = {}
            with pytest.raises(Dead):
                await life(grid_on(store)(None, Dying(number, when)), kept)
            after = grid_on(store)(None, OpenGate())
            await after.sweep(older_than_s=OLDER_THAN_S)
            for data, _ in kept:
                assert await whole(after, data) == data, (number, when)
            assert left_over(store) == [], (number, when)


async def test_what_was_cut_short_can_be_done_again() -> None:
    """The same life, from the beginning, on what a death at any write left."""
    for number in range(1, len(await writes()) + 1):
        store = MemoryStore()
        with pytest.raises(Dead):
            await life(grid_on(store)(None, Dying(number, "after")), {})
        after = grid_on(store)(None, OpenGate())
        await life(after, {})
        assert await whole(after, SMALL) == SMALL, number
        await after.sweep(older_than_s=OLDER_THAN_S)
        assert left_over(store) == [], number


async def test_the_life_comes_to_every_write_of_the_store() -> None:
    """So that none is left out."""
    assert set(await writes()) == {
        "GridFsBlobs._note", "GridFsBlobs._upload", "_write", "GridFsBlobs._adopt", "GridFsBlobs._unnote",
        "GridFsBlobs._drop_file", "GridFsBlobs.release", "GridFsBlobs._clear",
    }  # fmt: skip
