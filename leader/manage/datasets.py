"""Uploaded datasets and traces, beside the built-in datasets that followers announce.

A trace is an upload like a dataset, under a name of its own; what an upload is, its bytes say: a Parquet file is a
dataset, and everything else must be a trace.
"""

import builtins
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, BinaryIO, Final

from leader.manage.views import builtin_dataset_view, dataset_view, kind_of
from leader.perfdb.protocol import PerfDB
from model_repo.protocol import Blob, BlobStore
from model_repo.repository import search_page
from model_repo.uploads import Uploads, require_ready
from shared.clock import Clock
from shared.errors import Conflict, InvalidInput, TooLarge
from shared.wire.views import DatasetKind, DatasetView, Page
from shared.workload.trace import read_trace

PARQUET_MAGIC: Final = b"PAR1"
SMALLEST_PARQUET_BYTES: Final = 12
MAX_TRACE_BYTES: Final = 512 * 1024**2
"""Largest trace: ten million arrivals of fifty characters each."""


@dataclass(frozen=True)
class StoredDataset:
    """The bytes of a ready version, and what they are."""

    kind: DatasetKind
    blob: Blob


class Datasets:
    """Register, upload, list, open. A dataset is one Parquet file, a trace one of CSV or JSON lines."""

    def __init__(self, perfdb: PerfDB, blobs: BlobStore, clock: Clock, *, max_bytes: int) -> None:
        self._db = perfdb
        self._uploads = Uploads(perfdb.datasets, blobs, clock, kind="dataset", max_bytes=max_bytes, check=check_upload)

    async def register(self, *, name: str, sha256: str, size_bytes: int, description: str = "") -> DatasetView:
        """A new version, pending. Raises TooLarge, InvalidInput, Conflict where a built-in has the name."""
        if name in await self._builtin():
            raise Conflict(f"{name!r} is a built-in dataset; choose another name")
        return dataset_view(await self._uploads.register(name, sha256, size_bytes, {"description": description}))

    async def upload(self, name: str, version: int, chunks: AsyncIterator[bytes]) -> DatasetView:
        """The bytes. Raises NotFound, InvalidInput (length, digest: send again; its contents: refused), TooLarge."""
        return dataset_view(await self._uploads.upload(name, version, chunks))

    async def list(self, *, limit: int = 50, cursor: str | None = None) -> Page[DatasetView]:
        """Built-in ones first (on the first page), then uploaded ones by name, newest version first."""
        found, next_cursor = await search_page(self._db.datasets, "", limit, cursor)
        builtin = [] if cursor else [builtin_dataset_view(name) for name in await self._builtin()]
        return Page(items=(*builtin, *map(dataset_view, found)), next_cursor=next_cursor)

    async def open(self, name: str, version: int) -> StoredDataset:
        """Raises NotFound, and Conflict where it is not ready."""
        found = require_ready(await self._db.datasets.get(name, version))
        return StoredDataset(kind_of(found) or "dataset", await self._uploads.open(name, version))

    async def sweep(self, *, pending_older_than_s: float) -> int:
        """Delete what was registered that long ago and never uploaded; returns how many."""
        return await self._uploads.sweep(pending_older_than_s=pending_older_than_s)

    async def _builtin(self) -> builtins.list[str]:
        followers = await self._db.followers.all()
        return sorted({name for found in followers for name in found.registration.capabilities.datasets})


def check_upload(file: BinaryIO, facts: dict[str, Any]) -> dict[str, Any]:
    """The facts, with what the bytes are. Raises InvalidInput: neither a dataset nor a trace."""
    head = file.read(len(PARQUET_MAGIC))
    file.seek(0)
    if head == PARQUET_MAGIC:
        check_is_parquet(file)
        return {**facts, "kind": "dataset"}
    return {**facts, "kind": "trace", **trace_facts(file)}


def check_is_parquet(file: BinaryIO) -> None:
    """A Parquet file begins and ends with ``PAR1``; its columns are the follower's to check. Raises InvalidInput."""
    head = file.read(len(PARQUET_MAGIC))
    size_bytes = file.seek(0, 2)
    file.seek(max(0, size_bytes - len(PARQUET_MAGIC)))
    if size_bytes < SMALLEST_PARQUET_BYTES or head != PARQUET_MAGIC or file.read() != PARQUET_MAGIC:
        raise InvalidInput("not a whole Parquet file; a dataset is one, with the columns name, data and label")


def trace_facts(file: BinaryIO) -> dict[str, Any]:
    """How many arrivals a trace holds, and over how many seconds.

    Raises:
        TooLarge: more bytes than a trace may have.
        InvalidInput: it is none; the message names the line.
    """
    size_bytes = file.seek(0, 2)
    if size_bytes > MAX_TRACE_BYTES:
        raise TooLarge(f"a trace may have {MAX_TRACE_BYTES} bytes; this one has {size_bytes}")
    file.seek(0)
    try:
        arrivals_ns = read_trace(file.read(), "trace")
    except InvalidInput as error:
        told = "; ".join(map(str, error.problems)) or error.detail
        raise InvalidInput(f"not Parquet, so no dataset, and no trace: {told}", problems=error.problems) from error
    return {"requests": len(arrivals_ns), "span_s": int(arrivals_ns[-1]) / 1e9 if len(arrivals_ns) else 0.0}
