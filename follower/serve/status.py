"""How the server tells its parent how far it has come: lines of JSON in a file, stamped by the server itself.

A file rather than a pipe, so that a container can write it too. CLOCK_MONOTONIC is the machine's, so the server's
stamps and the parent's can be compared, and a slow reader does not falsify a cold start.
"""

import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

EventName = Literal["listening", "model-loaded"]

STATUS_FILE: Final = "status.jsonl"
MOST_BYTES: Final = 64 * 1024
"""A hundred times what a server writes."""


@dataclass(frozen=True, kw_only=True)
class StatusEvent:
    """One thing that the server has reached."""

    name: EventName
    at_ns: int  # CLOCK_MONOTONIC
    port: int | None = None  # with "listening"
    facts: Mapping[str, Any] | None = None  # with "model-loaded": what the engine really does


class StatusFile:
    """The server's end."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def report(self, name: EventName, *, port: int | None = None, facts: Mapping[str, Any] | None = None) -> None:
        line = json.dumps({"name": name, "at_ns": time.monotonic_ns(), "port": port, "facts": facts})
        with self._path.open("a", encoding="ascii") as file:
            file.write(line + "\n")


def parse(text: str) -> Sequence[StatusEvent]:
    """The events of a status file; a last line that is still being written is left for the next time."""
    complete, _, _ = text.rpartition("\n")
    return [StatusEvent(**json.loads(line)) for line in complete.splitlines()]


def read(path: Path) -> Sequence[StatusEvent]:
    """The events so far; none where the server has not come to write any.

    A server in a container may put anything at this place: links are not followed, and a pipe is not waited for.
    """
    try:
        file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return ()
    try:
        return parse(os.read(file, MOST_BYTES).decode("ascii", errors="replace"))
    finally:
        os.close(file)
