"""Uploaded datasets, beside the built-in ones that followers announce."""

import builtins
from collections.abc import AsyncIterator
from typing import Any, BinaryIO, Final

from leader.manage.views import builtin_dataset_view, dataset_view
from leader.perfdb.protocol import PerfDB
from model_repo.protocol import Blob, BlobStore
from model_repo.repository import search_page
from model_repo.uploads import Uploads
from shared.clock import Clock
from shared.errors import Conflict, InvalidInput
from shared.wire.views import DatasetView, Page

PARQUET_MAGIC: Final = b"PAR1"
SMALLEST_PARQUET_BYTES: Final = 12


class Datasets:
    """Register, upload, list, open. A dataset is one Parquet file."""

    def __init__(self, perfdb: PerfDB, blobs: BlobStore, clock: Clock, *, max_bytes: int) -> None:
        self._db = perfdb
        self._uploads = Uploads(
            perfdb.datasets, blobs, clock, kind="dataset", max_bytes=max_bytes, check=check_is_parquet
        )

    async def register(self, *, name: str, sha256: str, size_bytes: int, description: str = "") -> DatasetView:
        """A new version, pending. Raises TooLarge, InvalidInput, Conflict where a built-in has the name."""
        if name in await self._builtin():
            raise Conflict(f"{name!r} is a built-in dataset; choose another name")
        return dataset_view(await self._uploads.register(name, sha256, size_bytes, {"description": description}))

    async def upload(self, name: str, version: int, chunks: AsyncIterator[bytes]) -> DatasetView:
        """The bytes. Raises NotFound, InvalidInput (length, digest: send again; not Parquet: refused), TooLarge."""
        return dataset_view(await self._uploads.upload(name, version, chunks))

    async def list(self, *, limit: int = 50, cursor: str | None = None) -> Page[DatasetView]:
        """Built-in ones first (on the first page), then uploaded ones by name, newest version first."""
        found, next_cursor = await search_page(self._db.datasets, "", limit, cursor)
        builtin = [] if cursor else [builtin_dataset_view(name) for name in await self._builtin()]
        return Page(items=(*builtin, *map(dataset_view, found)), next_cursor=next_cursor)

    async def open(self, name: str, version: int) -> Blob:
        """Raises NotFound, and Conflict where it is not ready."""
        return await self._uploads.open(name, version)

    async def sweep(self, *, pending_older_than_s: float) -> int:
        """Delete what was registered that long ago and never uploaded; returns how many."""
        return await self._uploads.sweep(pending_older_than_s=pending_older_than_s)

    async def _builtin(self) -> builtins.list[str]:
        followers = await self._db.followers.all()
        return sorted({name for found in followers for name in found.registration.capabilities.datasets})


def check_is_parquet(file: BinaryIO, facts: dict[str, Any]) -> dict[str, Any]:
    """A Parquet file begins and ends with ``PAR1``; its columns are the follower's to check. Raises InvalidInput."""
    head = file.read(len(PARQUET_MAGIC))
    size_bytes = file.seek(0, 2)
    file.seek(max(0, size_bytes - len(PARQUET_MAGIC)))
    if size_bytes < SMALLEST_PARQUET_BYTES or head != PARQUET_MAGIC or file.read() != PARQUET_MAGIC:
        raise InvalidInput("not a Parquet file; a dataset is one, with the columns name, data and label")
    return facts
