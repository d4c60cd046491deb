"""The model repository: versions by name, bytes by content, every file checked and none ever loaded."""

import base64
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from typing import Any, BinaryIO, Final, Literal

from model_repo.cards import parse_card
from model_repo.format_checks import check_model
from model_repo.protocol import Blob, BlobStore, VersionedBlob, VersionStore
from model_repo.uploads import Uploads, require_ready
from shared.clock import Clock
from shared.errors import Conflict, InvalidInput, InvalidModel, NotFound
from shared.wire.assignment import ModelPin
from shared.wire.views import ModelView, Page

READ_FROM_THE_FILE: Final[tuple[str, ...]] = ("inputs", "outputs", "opset", "weight_bytes")

InUse = Callable[[str, int], Awaitable[bool]]
"""Whether a live run needs (name, version)."""


class ModelRepository:
    """ModelStore over a store of versions and a store of bytes."""

    def __init__(
        self, versions: VersionStore, blobs: BlobStore, clock: Clock, *, max_bytes: int, in_use: InUse
    ) -> None:
        self._uploads = Uploads(versions, blobs, clock, kind="model", max_bytes=max_bytes, check=_checked)
        self._versions = versions
        self._blobs = blobs
        self._in_use = in_use

    async def register(self, *, name: str, sha256: str, size_bytes: int, card: dict[str, Any]) -> ModelView:
        parse_card(card)
        return view_of(await self._uploads.register(name, sha256, size_bytes, card))

    async def upload(self, name: str, version: int, chunks: AsyncIterator[bytes]) -> ModelView:
        try:
            return view_of(await self._uploads.upload(name, version, chunks))
        except InvalidInput as error:
            if type(error) is InvalidInput:  # length or digest: to the caller it is the model that is not valid
                raise InvalidModel(error.detail) from error
            raise

    async def get(self, name: str, version: int) -> ModelView:
        return view_of(await self._versions.get(name, version))

    async def search(self, *, text: str = "", limit: int = 50, cursor: str | None = None) -> Page[ModelView]:
        found, next_cursor = await search_page(self._versions, text, limit, cursor)
        return Page(items=tuple(map(view_of, found)), next_cursor=next_cursor)

    async def update(self, name: str, version: int, *, card: dict[str, Any]) -> ModelView:
        old = await self._versions.get(name, version)
        new = replace(old, facts=_keeping_what_the_file_says(old, card))
        if not await self._versions.replace(old, new):
            raise Conflict(f"version {version} of {name!r} is being changed; try again")
        return view_of(new)

    async def delete(self, name: str, version: int) -> None:
        found = await self._versions.get(name, version)
        if await self._in_use(name, version):
            raise Conflict(f"version {version} of {name!r} is needed by a run that has not ended; cancel it or wait")
        await self._uploads.delete(found)

    async def open(self, name: str, version: int) -> Blob:
        return await self._uploads.open(name, version)

    async def pin(self, name: str, version: int | Literal["latest"]) -> ModelPin:
        found = await self._latest(name) if version == "latest" else await self._versions.get(name, version)
        require_ready(found)
        return ModelPin(
            name=name, version=found.version, sha256=found.sha256, size_bytes=found.size_bytes, card=found.facts
        )

    async def _latest(self, name: str) -> VersionedBlob:
        found = await self._versions.latest_ready(name)
        if found is None:
            raise NotFound(f"there is no model {name!r} that is ready")
        return found

    async def sweep(self, *, pending_older_than_s: float) -> int:
        versions = await self._uploads.sweep(pending_older_than_s=pending_older_than_s)
        return versions + await self._blobs.sweep(older_than_s=pending_older_than_s)


def _checked(file: BinaryIO, card: dict[str, Any]) -> dict[str, Any]:
    return check_model(file, card).model_dump(mode="json")


def _keeping_what_the_file_says(old: VersionedBlob, card: dict[str, Any]) -> dict[str, Any]:
    """The new card of a version; what was read from a ready one's bytes stays. Raises InvalidModel."""
    new = parse_card(card).model_dump(mode="json")
    if old.state != "ready":
        return card
    known = {field: old.facts[field] for field in READ_FROM_THE_FILE if field in old.facts}
    if old.facts.get("lineage"):
        known["lineage"] = old.facts["lineage"]  # what was done does not change afterwards
    contradicted = [field for field in known if field in card and new[field] != known[field]]
    if contradicted:
        raise InvalidModel(f"the card contradicts the model file in {', '.join(contradicted)}; leave that out")
    return {**new, **known}


def view_of(version: VersionedBlob) -> ModelView:
    """What the API shows of a version."""
    return ModelView(
        name=version.name,
        version=version.version,
        state=version.state,
        sha256=version.sha256,
        size_bytes=version.size_bytes,
        card=version.facts,
        detail=version.detail,
        created_at=version.created_at,
    )


async def search_page(
    versions: VersionStore, text: str, limit: int, cursor: str | None
) -> tuple[list[VersionedBlob], str | None]:
    """One page of a search, and the cursor of the next. Raises InvalidInput: not one of our cursors."""
    found = await versions.search(text, after=_read_cursor(cursor) if cursor else None, limit=limit + 1)
    page = found[:limit]
    return page, _cursor(page[-1]) if len(found) > limit else None


def _cursor(version: VersionedBlob) -> str:
    return base64.urlsafe_b64encode(json.dumps([version.name, version.version]).encode()).decode()


def _read_cursor(cursor: str) -> tuple[str, int]:
    try:
        name, version = json.loads(base64.urlsafe_b64decode(cursor.encode()))
        return str(name), int(version)
    except (ValueError, TypeError) as error:
        raise InvalidInput("the cursor is not one that this service gave; start without one") from error
