"""The stack's own files in the data folder: the lock, and stack.json, which tells clients where the leader is."""

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from cli.errors import AlreadyRunning
from cli.stack.layout import DataDir


@dataclass(frozen=True, kw_only=True)
class StackFile:
    """The content of stack.json."""

    url: str
    pid: int  # of the supervisor
    admin_token_file: str
    follower_token_file: str
    children: Mapping[str, int]  # name -> pid

    @property
    def is_alive(self) -> bool:
        """Whether its supervisor still lives. A SIGKILLed one leaves its file behind."""
        return Path(f"/proc/{self.pid}").exists()


def read_stack_file(path: Path) -> StackFile | None:
    """What the file says; None where there is none, or it is not one."""
    try:
        return StackFile(**json.loads(path.read_text()))
    except (OSError, ValueError, TypeError):
        return None


def write_private(path: Path, text: str) -> None:
    """Writes a 0600 file in one step: readers see the old content or the new one.

    Raises:
        OSError: it cannot be written.
    """
    fresh = path.with_name(f"{path.name}.{os.getpid()}")
    with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:  # noqa: PTH123 - needs a file mode
        file.write(text)
    fresh.replace(path)


def write_stack_file(path: Path, content: StackFile) -> None:
    """Writes stack.json.

    Raises:
        OSError: it cannot be written.
    """
    write_private(path, json.dumps(asdict(content), indent=2) + "\n")


@contextmanager
def locked(data: DataDir) -> Iterator[None]:
    """Holds the data folder. The kernel lets go of the lock when we end, however we end.

    Raises:
        AlreadyRunning: another stack holds it.
        OSError: the lock file cannot be opened.
    """
    with data.lock_file.open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise AlreadyRunning(_who_holds(data)) from error
        yield


def _who_holds(data: DataDir) -> str:
    stack = read_stack_file(data.stack_file)
    where = f"at {stack.url}, pid {stack.pid}" if stack else "and is just starting or stopping"
    return f"a stack is already running in {data.root} {where}; use it, or stop it, or choose another --data-dir"
