"""Files that come from and go to the leader."""

import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from cli.client import file_chunks
from cli.errors import UnreadableFile
from shared.errors import Unavailable


@dataclass(frozen=True)
class Digest:
    """What a file is known by."""

    sha256: str
    size_bytes: int


def digest_of(path: Path) -> Digest:
    """Reads the file once.

    Raises:
        UnreadableFile: it cannot be read.
    """
    digest, size_bytes = hashlib.sha256(), 0
    try:
        for chunk in file_chunks(path):
            digest.update(chunk)
            size_bytes += len(chunk)
    except OSError as error:
        raise UnreadableFile(f"{path} cannot be read: {error.strerror}") from error
    return Digest(digest.hexdigest(), size_bytes)


def save(chunks: Iterable[bytes], path: Path, *, sha256: str | None = None) -> None:
    """Writes the file in one step: it is there whole, or not at all.

    Raises:
        Unavailable: the bytes are not those of ``sha256``.
        OSError: it cannot be written.
    """
    digest, fresh = hashlib.sha256(), path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        with fresh.open("wb") as file:
            for chunk in chunks:
                digest.update(chunk)
                file.write(chunk)
        if sha256 not in (None, digest.hexdigest()):
            raise Unavailable(f"what came for {path.name} has sha256 {digest.hexdigest()}; it should be {sha256}")
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)
