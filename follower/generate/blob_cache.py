"""Bytes from the leader, kept by their digest: fetched once, checked at every use, thrown out oldest first."""

import errno
import hashlib
import os
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from shared.errors import AttemptFailed, NotFound, Unavailable
from shared.jobs.lifecycle import Cause
from shared.wire.assignment import BlobPin

PAUSES_S: Final = (0.5, 1.0, None)
"""After each failed fetch; None: no further try."""
PARTIAL: Final = ".partial"

Fetch = Callable[[str], AbstractContextManager[Iterator[bytes]]]
"""Opens the bytes with a digest; raises NotFound or Unavailable."""


@dataclass(frozen=True)
class Entry:
    """One file of the cache."""

    name: str
    size_bytes: int
    used_ns: int


class BlobCache:
    """Files named by the SHA-256 of their content. Several attempts may use it at once."""

    def __init__(self, root: Path, max_bytes: int, fetch: Fetch) -> None:
        self._root = root
        self._max_bytes = max_bytes
        self._fetch = fetch

    def link(self, pin: BlobPin, target: Path) -> None:
        """Put the pinned bytes at ``target``, which stays whole even if the cache lets go of them.

        Raises:
            AttemptFailed: MODEL_UNAVAILABLE where the leader does not have these bytes, DISK_FULL, or FOLLOWER_ERROR
                where the leader cannot be reached.
        """
        cached = self._root / pin.sha256
        if not _holds(cached, pin.sha256):
            self._download(pin, cached)
        os.utime(cached)
        target.hardlink_to(cached)
        for name in to_evict(self._entries(), self._max_bytes):
            (self._root / name).unlink(missing_ok=True)

    def _download(self, pin: BlobPin, cached: Path) -> None:
        for pause_s in PAUSES_S:
            try:
                self._download_once(pin, cached)
                break
            except NotFound as error:
                raise AttemptFailed(Cause.MODEL_UNAVAILABLE, f"{pin.name}: {error.detail}") from error
            except OSError as error:
                raise _disk_failure(pin, error) from error
            except Unavailable as error:
                if pause_s is None:
                    raise AttemptFailed(Cause.FOLLOWER_ERROR, f"{pin.name}: {error.detail}") from error
                time.sleep(pause_s)

    def _download_once(self, pin: BlobPin, cached: Path) -> None:
        with tempfile.NamedTemporaryFile(dir=self._root, suffix=PARTIAL) as partial, self._fetch(pin.sha256) as chunks:
            digest = hashlib.sha256()
            for chunk in chunks:
                digest.update(chunk)
                partial.write(chunk)
            partial.flush()
            if digest.hexdigest() != pin.sha256:
                raise Unavailable(f"{partial.tell()} bytes with digest {digest.hexdigest()} came for {pin.sha256}")
            os.fsync(partial.fileno())
            _publish(Path(partial.name), cached)

    def _entries(self) -> list[Entry]:
        files = [path for path in self._root.iterdir() if path.suffix != PARTIAL]
        return [Entry(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in files]


def to_evict(entries: Iterable[Entry], max_bytes: int) -> list[str]:
    """Names of the least recently used entries that are too much; the one used last always stays."""
    newest_first = sorted(entries, key=lambda entry: entry.used_ns, reverse=True)
    evicted = []
    kept_bytes = 0
    for entry in newest_first:
        if kept_bytes and kept_bytes + entry.size_bytes > max_bytes:
            evicted.append(entry.name)
        else:
            kept_bytes += entry.size_bytes
    return evicted


def _publish(partial: Path, cached: Path) -> None:
    """Give the complete file its name, atomically; a damaged one of that name is replaced."""
    complete = partial.with_suffix(".complete")
    complete.hardlink_to(partial)
    complete.replace(cached)


def file_sha256(path: Path) -> str:
    """Digest of a file's bytes, in hexadecimal."""
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _holds(path: Path, sha256: str) -> bool:
    try:
        return file_sha256(path) == sha256
    except FileNotFoundError:
        return False


def _disk_failure(pin: BlobPin, error: OSError) -> AttemptFailed:
    cause = Cause.DISK_FULL if error.errno == errno.ENOSPC else Cause.FOLLOWER_ERROR
    return AttemptFailed(cause, f"{pin.name} cannot be stored: {error}")
