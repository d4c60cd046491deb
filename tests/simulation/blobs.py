"""BlobStore in memory: whole contents under their digest, with their owners, behind the same gate as the documents."""

from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass, field

from model_repo.gridfs import Expected, driver_errors
from model_repo.protocol import Blob, BlobKind, BlobOwner
from shared.errors import NotFound
from simulation.memory import Gate


@dataclass
class StoredBlob:
    """Bytes, and who needs them."""

    data: bytes
    owners: list[str] = field(default_factory=list)


class MemoryBlobs:
    """BlobStore. ``contents`` is what the store keeps, shared by all of its clients."""

    def __init__(self, contents: dict[str, StoredBlob], gate: Gate) -> None:
        self._contents = contents
        self._gate = gate

    async def put(
        self,
        chunks: AsyncIterator[bytes],
        *,
        sha256: str,
        max_bytes: int,
        owner: BlobOwner,
        size_bytes: int | None = None,
    ) -> int:
        expected = Expected(sha256, size_bytes, max_bytes)
        data = b"".join([chunk async for chunk in expected.check(chunks)])

        def effect() -> int:
            blob = self._contents.setdefault(sha256, StoredBlob(data))
            if str(owner) not in blob.owners:
                blob.owners.append(str(owner))
            return len(data)

        with driver_errors("storing bytes"):
            return await self._gate.write("blobs.put", effect)

    async def open(self, sha256: str, *, kinds: Collection[BlobKind]) -> Blob:
        with driver_errors("opening bytes"):
            found = await self._gate.read("blobs.open", lambda: self._contents.get(sha256))
        if found is None or not any(owner.partition(":")[0] in kinds for owner in found.owners):
            raise NotFound(f"there are no bytes with SHA-256 {sha256}")
        return Blob(sha256, len(found.data), _once(found.data))

    async def release(self, sha256: str, owner: BlobOwner) -> None:
        def effect() -> None:
            blob = self._contents.get(sha256)
            if blob is not None and str(owner) in blob.owners:
                blob.owners.remove(str(owner))
            if blob is not None and not blob.owners:
                del self._contents[sha256]

        with driver_errors("releasing bytes"):
            await self._gate.write("blobs.release", effect)

    async def sweep(self, *, older_than_s: float) -> int:
        """Nothing is ever left half done here."""
        del older_than_s
        return 0


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data
