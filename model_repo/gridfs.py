"""Bytes in GridFS, each content once, and the border at which the driver's errors end."""

import hashlib
from collections.abc import AsyncIterator, Collection, Generator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from bson import ObjectId
from bson.errors import BSONError
from gridfs import AsyncGridFSBucket, NoFile
from gridfs.asynchronous.grid_file import AsyncGridIn, AsyncGridOut
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import DuplicateKeyError, OperationFailure, PyMongoError

from model_repo.protocol import Blob, BlobKind, BlobOwner
from shared.errors import Conflict, InvalidInput, NotFound, TooLarge, Unavailable

BUCKET: Final = "blobs"
CHUNK_BYTES: Final = 1024 * 1024
_DETAIL_CHARS: Final = 200


@contextmanager
def driver_errors(doing: str) -> Generator[None]:
    """Turn what the driver raises into Conflict, InvalidInput or Unavailable, with what was being done."""
    try:
        yield
    except DuplicateKeyError as error:
        raise Conflict(f"{doing}: something with this identity exists already") from error
    except BSONError as error:
        raise InvalidInput(f"{doing}: a value cannot be stored: {_first_line(error)}") from error
    except PyMongoError as error:
        raise Unavailable(f"the database failed while {doing}: {_first_line(error)}") from error


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).partition(chr(10))[0][:_DETAIL_CHARS]}"


class GridFsBlobs:
    """BlobStore.

    A document of ``blobs`` per content names the GridFS file and the owners. Every GridFS file is noted in
    ``blob_garbage`` before its first byte is written and before its blob is dropped, so that a crash at any point
    leaves a note by which ``sweep`` finds the file; nothing is ever searched for.
    """

    def __init__(self, database: AsyncDatabase[dict[str, Any]]) -> None:
        self._database = database
        self._blobs = database["blobs"]
        self._garbage = database["blob_garbage"]
        self._bucket = AsyncGridFSBucket(database, bucket_name=BUCKET, chunk_size_bytes=CHUNK_BYTES)

    async def put(
        self,
        chunks: AsyncIterator[bytes],
        *,
        sha256: str,
        max_bytes: int,
        owner: BlobOwner,
        size_bytes: int | None = None,
    ) -> int:
        file_id = ObjectId()
        await self._note(file_id)
        try:
            stored_bytes = await self._upload(chunks, file_id, Expected(sha256, size_bytes, max_bytes))
        except BaseException:  # a cancelled upload leaves as little as a failed one
            await self._drop_file_or_leave_it_to_sweep(file_id)
            raise
        if await self._adopt(file_id, sha256, stored_bytes, owner):
            await self._unnote(file_id)
        else:
            await self._drop_file_or_leave_it_to_sweep(file_id)
        return stored_bytes

    async def _upload(self, chunks: AsyncIterator[bytes], file_id: ObjectId, expected: "Expected") -> int:
        stream = self._bucket.open_upload_stream_with_id(file_id, expected.sha256)
        async for chunk in expected.check(chunks):
            await _write(stream, chunk)
        with driver_errors("storing bytes"):
            await stream.close()
        return expected.seen_bytes

    async def _adopt(self, file_id: ObjectId, sha256: str, size_bytes: int, owner: BlobOwner) -> bool:
        """Make the file the content of its digest. False where another file is; its owner is added all the same."""
        update = {
            "$addToSet": {"owners": str(owner)},
            "$setOnInsert": {"file_id": str(file_id), "size_bytes": size_bytes},
        }
        with driver_errors("storing bytes"):
            try:
                await self._blobs.update_one({"_id": sha256}, update, upsert=True)
            except DuplicateKeyError:  # two upserts met; the second finds the first's document
                await self._blobs.update_one({"_id": sha256}, update, upsert=True)
            found = await self._blobs.find_one({"_id": sha256})
        return found is not None and found["file_id"] == str(file_id)

    async def open(self, sha256: str, *, kinds: Collection[BlobKind]) -> Blob:
        with driver_errors("opening bytes"):
            found = await self._blobs.find_one({"_id": str(sha256)})
            if found is None or not any(owner.partition(":")[0] in kinds for owner in found["owners"]):
                raise NotFound(f"there are no bytes with SHA-256 {sha256}")
            try:
                stream = await self._bucket.open_download_stream(ObjectId(found["file_id"]))
            except NoFile as error:
                raise NotFound(f"the bytes with SHA-256 {sha256} were deleted") from error
        return Blob(sha256, int(found["size_bytes"]), _chunks_of(stream))

    async def release(self, sha256: str, owner: BlobOwner) -> None:
        with driver_errors("releasing bytes"):
            found = await self._blobs.find_one({"_id": str(sha256)})
            if found is None or str(owner) not in found["owners"]:
                return
            file_id = ObjectId(found["file_id"])
            await self._note(file_id)  # first: content without owners is found by its note only
            await self._blobs.update_one({"_id": str(sha256)}, {"$pull": {"owners": str(owner)}})
        await self._clear(file_id, sha256=str(sha256))

    async def sweep(self, *, older_than_s: float) -> int:
        limit = ObjectId.from_datetime(datetime.now(UTC) - timedelta(seconds=older_than_s))
        dropped = 0
        with driver_errors("sweeping bytes"):
            notes = await self._garbage.find({}).to_list()
        for note in notes:
            file_id = ObjectId(note["_id"])
            if file_id.generation_time <= limit.generation_time:
                dropped += await self._clear(file_id)
        return dropped

    async def _clear(self, file_id: ObjectId, *, sha256: str | None = None) -> int:
        """Drop a noted file that is nobody's, and unnote it in either case; how many were dropped.

        Without its digest all contents are looked through.
        """
        content = {"file_id": str(file_id), **({"_id": sha256} if sha256 else {})}
        with driver_errors("dropping bytes"):
            await self._blobs.delete_one({**content, "owners": {"$size": 0}})
            in_use = await self._blobs.find_one(content, {"_id": 1}) is not None
        if in_use:
            await self._unnote(file_id)
            return 0
        await self._drop_file(file_id)
        return 1

    async def _note(self, file_id: ObjectId) -> None:
        with driver_errors("storing bytes"):
            await self._garbage.replace_one({"_id": str(file_id)}, {"_id": str(file_id)}, upsert=True)

    async def _unnote(self, file_id: ObjectId) -> None:
        with driver_errors("storing bytes"):
            await self._garbage.delete_one({"_id": str(file_id)})

    async def _drop_file_or_leave_it_to_sweep(self, file_id: ObjectId) -> None:
        with suppress(Unavailable):
            await self._drop_file(file_id)

    async def _drop_file(self, file_id: ObjectId) -> None:
        """Delete the file's chunks, then the file, then the note: in this order every crash can be repaired."""
        with driver_errors("dropping bytes"):
            await self._database[f"{BUCKET}.chunks"].delete_many({"files_id": file_id})
            try:
                await self._database[f"{BUCKET}.files"].delete_one({"_id": file_id})
            except OperationFailure as error:
                if "not found" not in str(error):  # one server takes the deletion of nothing for an error
                    raise
        await self._unnote(file_id)


async def _write(stream: AsyncGridIn, chunk: bytes) -> None:
    with driver_errors("storing bytes"):
        await stream.write(chunk)


async def _chunks_of(stream: AsyncGridOut) -> AsyncIterator[bytes]:
    while True:
        with driver_errors("reading bytes"):
            chunk = await stream.readchunk()
        if not chunk:
            return
        yield chunk


class Expected:
    """What a stream must turn out to be; checked while it passes and when it ends."""

    def __init__(self, sha256: str, size_bytes: int | None, max_bytes: int) -> None:
        self.sha256 = sha256
        self.seen_bytes = 0
        self._size_bytes = size_bytes
        self._max_bytes = max_bytes if size_bytes is None else min(size_bytes, max_bytes)
        self._digest = hashlib.sha256()

    async def check(self, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """``chunks``, unchanged.

        Raises:
            TooLarge: as soon as there is one byte too many.
            InvalidInput: at the end, where length or digest differ.
        """
        async for chunk in chunks:
            self.seen_bytes += len(chunk)
            if self.seen_bytes > self._max_bytes:
                raise TooLarge(f"more than {self._max_bytes} bytes were sent")
            self._digest.update(chunk)
            yield chunk
        self._check_end()

    def _check_end(self) -> None:
        if self._size_bytes is not None and self.seen_bytes != self._size_bytes:
            raise InvalidInput(f"{self.seen_bytes} bytes arrived, {self._size_bytes} were announced; send them again")
        if self._digest.hexdigest() != self.sha256:
            raise InvalidInput(
                f"the bytes have SHA-256 {self._digest.hexdigest()}, announced was {self.sha256}; send them again"
            )
