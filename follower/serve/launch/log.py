"""Reading the end of a log without reading all of it."""

import os
from pathlib import Path
from typing import Final

TAIL_BYTES: Final = 8 * 1024
TAIL_LINES: Final = 40


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
