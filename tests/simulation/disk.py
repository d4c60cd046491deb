"""A follower's disk in memory: as much of pathlib.Path as the agent uses on an attempt's directory."""

import io
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, cast

from follower.attempt.order import AttemptDir


@dataclass
class Disk:
    """Files by their place, and the folders in which they may lie."""

    files: dict[str, bytes] = field(default_factory=dict)
    folders: set[str] = field(default_factory=set)

    def remove(self, folder: str) -> None:
        """A folder with all that lies in it."""
        self.folders.discard(folder)
        for place in [place for place in self.files if place.startswith(f"{folder}/")]:
            del self.files[place]


class MemoryPath:
    """A place on a disk."""

    def __init__(self, disk: Disk, place: str) -> None:
        self._disk = disk
        self._files = disk.files
        self._place = place

    def __truediv__(self, name: str) -> "MemoryPath":
        return MemoryPath(self._disk, f"{self._place}/{name}")

    def mkdir(self) -> None:
        self._disk.folders.add(self._place)

    def __str__(self) -> str:
        return self._place

    def __lt__(self, other: "MemoryPath") -> bool:
        return self._place < other._place

    @property
    def name(self) -> str:
        return self._place.rpartition("/")[2]

    def exists(self) -> bool:
        return self._place in self._files

    def read_bytes(self) -> bytes:
        try:
            return self._files[self._place]
        except KeyError:
            raise FileNotFoundError(self._place) from None

    def read_text(self, encoding: str = "utf-8") -> str:
        return self.read_bytes().decode(encoding)

    def write_bytes(self, data: bytes) -> int:
        if self._place.rpartition("/")[0] not in self._disk.folders:
            raise FileNotFoundError(self._place)
        self._files[self._place] = bytes(data)
        return len(data)

    def write_text(self, text: str, encoding: str = "utf-8") -> int:
        return self.write_bytes(text.encode(encoding))

    @contextmanager
    def open(self, mode: str = "r", encoding: str | None = None) -> Generator[IO[Any]]:
        if "w" not in mode:
            yield io.BytesIO(self.read_bytes()) if "b" in mode else io.StringIO(self.read_text())
            return
        written: io.BytesIO | io.StringIO = io.BytesIO() if "b" in mode else io.StringIO()
        yield written
        value = written.getvalue()
        self.write_bytes(value.encode(encoding or "utf-8") if isinstance(value, str) else value)

    def rglob(self, pattern: str) -> Iterator["MemoryPath"]:
        """Only patterns like ``*.log``."""
        end = pattern.removeprefix("*")
        for place in sorted(self._files):
            if place.startswith(f"{self._place}/") and place.endswith(end):
                yield MemoryPath(self._disk, place)

    def relative_to(self, other: "MemoryPath") -> str:
        return self._place.removeprefix(f"{other._place}/")


def attempt_dir(disk: Disk, place: str) -> AttemptDir:
    """An attempt's directory on such a disk."""
    return AttemptDir(cast("Path", MemoryPath(disk, place)))
