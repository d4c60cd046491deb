"""What the leader needs of a model repository: the paper's four calls, and the bytes."""

from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, Protocol

from shared.wire.assignment import ModelPin
from shared.wire.views import ModelView, Page

BlobKind = Literal["model", "dataset", "artifact"]


@dataclass(frozen=True)
class BlobOwner:
    """Who needs a blob; a blob lives as long as it has an owner."""

    kind: BlobKind
    id: str

    def __str__(self) -> str:
        return f"{self.kind}:{self.id}"


VersionState = Literal["pending", "ready", "refused", "deleted"]


@dataclass(frozen=True, kw_only=True)
class VersionedBlob:
    """A version of a registered model or dataset. ``facts``: a model's card, or what else describes the bytes."""

    name: str
    version: int
    state: VersionState
    sha256: str
    size_bytes: int
    facts: dict[str, Any]
    detail: str | None = None
    created_at: datetime


@dataclass(frozen=True)
class Blob:
    """Stored bytes, ready to be read once: ``chunks`` yields them in order."""

    sha256: str
    size_bytes: int
    chunks: AsyncIterator[bytes]


class BlobStore(Protocol):
    """Bytes under their SHA-256. Equal bytes are stored once, whoever sends them.

    Obligations: a blob is visible only after its length and digest were checked; a failed ``put`` leaves nothing
    that can be read; ``release`` frees the bytes only when the last owner is gone, and never under a ``put`` that
    happens at the same time.
    """

    async def put(
        self,
        chunks: AsyncIterator[bytes],
        *,
        sha256: str,
        max_bytes: int,
        owner: BlobOwner,
        size_bytes: int | None = None,
    ) -> int:
        """Store what ``chunks`` yields and return its length in bytes.

        Raises:
            TooLarge: more than ``max_bytes``; noticed while streaming, not after.
            InvalidInput: the length is not ``size_bytes`` (where given) or the digest is not ``sha256``.
            Unavailable: the store failed.
        """
        ...

    async def open(self, sha256: str, *, kinds: Collection[BlobKind]) -> Blob:
        """The bytes, if an owner of one of ``kinds`` holds them. Raises NotFound, Unavailable."""
        ...

    async def release(self, sha256: str, owner: BlobOwner) -> None:
        """``owner`` needs the bytes no more. Unknown blobs and owners are no error."""
        ...

    async def sweep(self, *, older_than_s: float) -> int:
        """Drop files and chunks that no blob points at, older than this; returns how many files and orphans."""
        ...


class VersionStore(Protocol):
    """Versions of named blobs: one store for models, one for datasets."""

    async def add_next(self, version: VersionedBlob) -> VersionedBlob:
        """Store it under the next number of its name, whatever number it carries; numbers are never used twice."""
        ...

    async def get(self, name: str, version: int) -> VersionedBlob:
        """Raises NotFound, also for a deleted one."""
        ...

    async def latest_ready(self, name: str) -> VersionedBlob | None: ...

    async def search(self, text: str, *, after: tuple[str, int] | None, limit: int) -> list[VersionedBlob]:
        """By name, newest version first; ``text`` is found in name or facts, in any case; deleted ones are left out."""
        ...

    async def replace(self, old: VersionedBlob, new: VersionedBlob) -> bool:
        """Compare-and-set on the state: False where it is no longer ``old.state``."""
        ...

    async def pending(self, *, before: datetime, limit: int) -> list[VersionedBlob]: ...


class ModelStore(Protocol):
    """Models by name and version: register, update, search, delete, and their bytes.

    A version is ``pending`` until its bytes arrived and passed length, digest and format checks, then ``ready``, or
    ``refused`` with the reason. Version numbers are never used twice, not even after a delete.
    """

    async def register(self, *, name: str, sha256: str, size_bytes: int, card: dict[str, Any]) -> ModelView:
        """A new version of ``name``, pending. Raises TooLarge where ``size_bytes`` is above the limit, InvalidInput."""
        ...

    async def upload(self, name: str, version: int, chunks: AsyncIterator[bytes]) -> ModelView:
        """The bytes of a pending version. A version that is ready already is returned as it is, bytes unread.

        Raises:
            InvalidModel: length or digest differ (stays pending: send again), or the format check refuses (final).
            TooLarge: more bytes than announced; noticed while streaming.
            Conflict: the version was refused or deleted.
            NotFound, Unavailable.
        """
        ...

    async def get(self, name: str, version: int) -> ModelView:
        """Raises NotFound, also for a deleted version."""
        ...

    async def search(self, *, text: str = "", limit: int = 50, cursor: str | None = None) -> Page[ModelView]:
        """Versions whose name or card contains ``text`` (plain text, any case), by name, newest version first."""
        ...

    async def update(self, name: str, version: int, *, card: dict[str, Any]) -> ModelView:
        """Replace the card. Runs already submitted keep the card that they pinned. Raises NotFound."""
        ...

    async def delete(self, name: str, version: int) -> None:
        """Raises NotFound, and Conflict where a live run needs it."""
        ...

    async def open(self, name: str, version: int) -> Blob:
        """The bytes of a ready version. Raises NotFound, Conflict where it is not ready."""
        ...

    async def pin(self, name: str, version: int | Literal["latest"]) -> ModelPin:
        """The version that a job means, fixed by number and digest: ``latest`` is the newest that is ready.

        Raises:
            NotFound: no such name or version.
            Conflict: the version exists but is not ready.
        """
        ...

    async def sweep(self, *, pending_older_than_s: float) -> int:
        """Delete versions whose upload never came; returns how many."""
        ...
