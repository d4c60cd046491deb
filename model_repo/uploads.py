"""Versioned uploads: what models and datasets share. A version is registered, its bytes follow, a check decides."""

import asyncio
import hashlib
import re
import tempfile
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any, BinaryIO, Final

import structlog

from model_repo.protocol import Blob, BlobKind, BlobOwner, BlobStore, VersionedBlob, VersionStore
from shared.clock import Clock
from shared.errors import Conflict, InvalidInput, NotFound, TooLarge, Unavailable
from shared.jobs.spec import NAME_PATTERN

READ_BYTES: Final = 1024 * 1024
SWEEP_BATCH: Final = 100
_SHA256: Final = re.compile(r"[0-9a-f]{64}")

log = structlog.get_logger(__name__)

Check = Callable[[BinaryIO, dict[str, Any]], dict[str, Any]]
"""Looks at the bytes and the facts that came with them; returns the facts to keep, or raises InvalidInput."""


class Uploads:
    """Register, upload, open and delete versions of one kind of blob."""

    def __init__(
        self, versions: VersionStore, blobs: BlobStore, clock: Clock, *, kind: BlobKind, max_bytes: int, check: Check
    ) -> None:
        self.versions = versions
        self.blobs = blobs
        self._clock = clock
        self._kind: BlobKind = kind
        self._max_bytes = max_bytes
        self._check = check

    async def register(self, name: str, sha256: str, size_bytes: int, facts: dict[str, Any]) -> VersionedBlob:
        """The next version of ``name``, pending. Raises InvalidInput, TooLarge."""
        if not re.fullmatch(NAME_PATTERN, name):
            raise InvalidInput(f"{name!r} is not a name: lower-case letters, digits, '.', '_' and '-', at most 64")
        if not _SHA256.fullmatch(sha256):
            raise InvalidInput(f"sha256 must be 64 lower-case hexadecimal digits; found {sha256!r}")
        if size_bytes < 1:
            raise InvalidInput(f"size_bytes must be at least 1; found {size_bytes}")
        if size_bytes > self._max_bytes:
            raise TooLarge(f"{size_bytes} bytes are more than the {self._max_bytes} that this leader takes")
        now = self._clock.utc_now()
        return await self.versions.add_next(
            VersionedBlob(
                name=name, version=0, state="pending", sha256=sha256, size_bytes=size_bytes, facts=facts, created_at=now
            )
        )

    async def upload(self, name: str, version: int, chunks: AsyncIterator[bytes]) -> VersionedBlob:
        """Spool, check, store, publish. The order makes that nothing unchecked can ever be opened.

        Raises:
            InvalidInput: length or digest differ (stays pending), or the check refuses the bytes (final).
            TooLarge, NotFound, Conflict, Unavailable.
        """
        pending = await self.versions.get(name, version)
        if pending.state == "ready":
            return pending
        if pending.state != "pending":
            raise Conflict(f"version {version} of {name!r} was refused: {pending.detail}; register a new version")
        with tempfile.TemporaryFile() as spool:
            await _receive(spool, chunks, pending.size_bytes)
            await asyncio.to_thread(_verify, spool, pending)
            facts = await self._checked(pending, spool)
            return await self._publish(pending, facts, spool)

    async def _checked(self, pending: VersionedBlob, spool: BinaryIO) -> dict[str, Any]:
        spool.seek(0)
        try:
            return await asyncio.to_thread(self._check, spool, pending.facts)
        except InvalidInput as error:
            await self.versions.replace(pending, replace(pending, state="refused", detail=error.detail))
            raise

    async def _publish(self, pending: VersionedBlob, facts: dict[str, Any], spool: BinaryIO) -> VersionedBlob:
        owner = self._owner(pending)
        spool.seek(0)
        await self.blobs.put(
            _chunks_of(spool),
            sha256=pending.sha256,
            size_bytes=pending.size_bytes,
            max_bytes=self._max_bytes,
            owner=owner,
        )
        ready = replace(pending, state="ready", facts=facts, detail=None)
        if await self.versions.replace(pending, ready):
            return ready
        return await self._after_a_lost_race(pending)

    async def _after_a_lost_race(self, pending: VersionedBlob) -> VersionedBlob:
        """Another upload made it ready, which is as good; or it was deleted, and nobody owns the bytes."""
        try:
            found = await self.versions.get(pending.name, pending.version)
        except NotFound:
            await self.blobs.release(pending.sha256, self._owner(pending))
            raise
        if found.state != "ready":
            raise Conflict(f"version {pending.version} of {pending.name!r} is {found.state}")
        return found

    async def open(self, name: str, version: int) -> Blob:
        """The bytes of a ready version. Raises NotFound, Conflict."""
        found = require_ready(await self.versions.get(name, version))
        return await self.blobs.open(found.sha256, kinds=(self._kind,))

    async def delete(self, version: VersionedBlob) -> None:
        """Mark it deleted, then let go of its bytes. Raises Conflict where it changes at the same time."""
        if not await self.versions.replace(version, replace(version, state="deleted", detail=None)):
            raise Conflict(f"version {version.version} of {version.name!r} is being changed; try again")
        await self.blobs.release(version.sha256, self._owner(version))

    async def sweep(self, *, pending_older_than_s: float) -> int:
        """Delete what was registered that long ago and never uploaded; returns how many."""
        before = self._clock.utc_now() - timedelta(seconds=pending_older_than_s)
        abandoned = await self.versions.pending(before=before, limit=SWEEP_BATCH)
        for version in abandoned:
            try:
                await self.delete(version)
            except (Conflict, Unavailable) as error:
                log.info("upload.not_swept", name=version.name, version=version.version, reason=error.detail)
        return len(abandoned)

    def _owner(self, version: VersionedBlob) -> BlobOwner:
        return BlobOwner(self._kind, f"{version.name}@{version.version}")


def require_ready(version: VersionedBlob) -> VersionedBlob:
    """The version, if its bytes can be used. Raises Conflict."""
    if version.state != "ready":
        reason = f": {version.detail}" if version.detail else ""
        raise Conflict(f"version {version.version} of {version.name!r} is {version.state}{reason}")
    return version


async def _receive(spool: BinaryIO, chunks: AsyncIterator[bytes], size_bytes: int) -> None:
    received = 0
    async for chunk in chunks:
        received += len(chunk)
        if received > size_bytes:
            raise TooLarge(f"more than the {size_bytes} bytes that were announced arrived")
        await asyncio.to_thread(spool.write, chunk)


def _verify(spool: BinaryIO, pending: VersionedBlob) -> None:
    """Length and digest. Raises InvalidInput."""
    size_bytes = spool.seek(0, 2)
    if size_bytes != pending.size_bytes:
        raise InvalidInput(f"{size_bytes} bytes arrived, {pending.size_bytes} were announced; send them again")
    spool.seek(0)
    digest = _digest_of(spool)
    if digest != pending.sha256:
        raise InvalidInput(f"the bytes have SHA-256 {digest}, announced was {pending.sha256}; send them again")


def _digest_of(file: BinaryIO) -> str:
    digest = hashlib.sha256()
    while block := file.read(READ_BYTES):
        digest.update(block)
    return digest.hexdigest()


async def _chunks_of(spool: BinaryIO) -> AsyncIterator[bytes]:
    while chunk := await asyncio.to_thread(spool.read, READ_BYTES):
        yield chunk
