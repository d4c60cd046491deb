"""Reading the end of a log without reading all of it."""

import os
from pathlib import Path
from typing import Final

TAIL_BYTES: Final = 8 * 1024
TAIL_LINES: Final = 40
MAX_BYTES: Final = 16 * 1024**2


def tail(path: Path, *, max_bytes: int = TAIL_BYTES, max_lines: int = TAIL_LINES) -> str:
    """The last lines of a file, at most ``max_bytes`` of them; "" where there is no file."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - max_bytes))
            text = file.read(max_bytes).decode(errors="replace")
    except FileNotFoundError:
        return ""
    lines = text.splitlines()
    if size > max_bytes:
        lines = lines[1:] or lines  # the first one is cut
    return "\n".join(lines[-max_lines:])


class CappedLog:
    """A log that keeps its end: one that has grown to ``max_bytes`` is put aside as ``NAME.1`` and begun anew."""

    def __init__(self, path: Path, max_bytes: int = MAX_BYTES) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self._file = path.open("ab")

    def write(self, data: bytes) -> None:
        """Appends."""
        if self._file.tell() + len(data) > self._max_bytes:
            self._file.close()
            self._path.replace(self._path.with_name(f"{self._path.name}.1"))
            self._file = self._path.open("ab")
        self._file.write(data)
        self._file.flush()

    def close(self) -> None:
        """No more will come."""
        self._file.close()
