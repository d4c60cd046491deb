"""Uploaded datasets, beside the built-in ones that followers announce."""

from collections.abc import AsyncIterator

from model_repo.protocol import Blob
from shared.wire.views import DatasetView, Page


class Datasets:
    """Register, upload, list, open. A dataset is one Parquet file."""

    async def register(self, *, name: str, sha256: str, size_bytes: int, description: str = "") -> DatasetView:
        """A new version, pending. Raises TooLarge, InvalidInput, Conflict where a built-in has the name."""
        raise NotImplementedError

    async def upload(self, name: str, version: int, chunks: AsyncIterator[bytes]) -> DatasetView:
        """The bytes. Raises NotFound, InvalidInput (length, digest: send again; not Parquet: refused), TooLarge."""
        raise NotImplementedError

    async def list(self, *, limit: int = 50, cursor: str | None = None) -> Page[DatasetView]:
        """Built-in ones first (on the first page), then uploaded ones by name, newest version first."""
        raise NotImplementedError

    async def open(self, name: str, version: int) -> Blob:
        """Raises NotFound, and Conflict where it is not ready or has no bytes here."""
        raise NotImplementedError
