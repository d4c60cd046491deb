"""GridFS in memory: files in pieces beside a document for each, in two collections, as the driver writes them."""

from collections.abc import Callable
from typing import Any
from unittest.mock import patch

from bson import ObjectId
from gridfs import NoFile

from model_repo.gridfs import GridFsBlobs
from simulation.memory import Gate, MemoryDatabase, MemoryStore


class MemoryBucket:
    """gridfs.AsyncGridFSBucket, the part that is used."""

    def __init__(self, database: MemoryDatabase, bucket_name: str, chunk_size_bytes: int) -> None:
        self._files = database[f"{bucket_name}.files"]
        self._chunks = database[f"{bucket_name}.chunks"]
        self._chunk_bytes = chunk_size_bytes

    def open_upload_stream_with_id(self, file_id: ObjectId, filename: str) -> "Upload":
        return Upload(self._files, self._chunks, {"_id": file_id, "filename": filename}, self._chunk_bytes)

    async def open_download_stream(self, file_id: ObjectId) -> "Download":
        if await self._files.find_one({"_id": file_id}) is None:
            raise NoFile(f"no file {file_id}")
        chunks = await self._chunks.find({"files_id": file_id}).to_list()
        return Download(chunk["data"] for chunk in sorted(chunks, key=lambda chunk: int(chunk["n"])))


class Upload:
    """A file that is being written: its document comes last."""

    def __init__(self, files: Any, chunks: Any, file: dict[str, Any], chunk_bytes: int) -> None:
        self._files, self._chunks, self._file, self._chunk_bytes = files, chunks, file, chunk_bytes
        self._data = b""
        self._n = 0

    async def write(self, data: bytes) -> None:
        self._data += data
        while len(self._data) >= self._chunk_bytes:
            await self._flush()

    async def close(self) -> None:
        if self._data:
            await self._flush()
        await self._files.insert_one({**self._file, "chunkSize": self._chunk_bytes})

    async def _flush(self) -> None:
        piece, self._data = self._data[: self._chunk_bytes], self._data[self._chunk_bytes :]
        await self._chunks.insert_one({"files_id": self._file["_id"], "n": self._n, "data": piece})
        self._n += 1


class Download:
    """A file that is being read."""

    def __init__(self, pieces: Any) -> None:
        self._pieces = iter(pieces)

    async def readchunk(self) -> bytes:
        return next(self._pieces, b"")


def grid_on(store: MemoryStore) -> Callable[[Any, Gate], GridFsBlobs]:
    """What makes the leaders' own blob store on this memory, in the place of ``simulation.blobs.MemoryBlobs``."""

    def blobs(_contents: Any, gate: Gate) -> GridFsBlobs:
        database: Any = MemoryDatabase(store, gate)
        with patch("model_repo.gridfs.AsyncGridFSBucket", MemoryBucket):
            return GridFsBlobs(database)

    return blobs
