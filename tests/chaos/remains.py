"""What must not be there afterwards: processes that carry our mark, and files."""

import os
import signal
from collections.abc import Collection
from pathlib import Path
from typing import Final

from chaos.program import MARK

KEPT_BY_AN_AGENT: Final = frozenset({"agent.lock", "home"})
PROC: Final = Path("/proc")


def marked(folder: Path, *, besides: Collection[int] = ()) -> list[int]:
    """Living processes of the stack in ``folder``, without these."""
    pids = (int(entry.name) for entry in PROC.iterdir() if entry.name.isdigit())
    return sorted(pid for pid in pids if pid not in besides and is_marked(pid, folder))


def is_marked(pid: int, folder: Path) -> bool:
    """Whether the process is of the stack in ``folder``. A zombie has no environment any more: it is none."""
    try:
        environment = (PROC / str(pid) / "environ").read_bytes()
    except OSError:
        return False
    return f"{MARK}={folder}".encode() in environment.split(b"\0")


def described(pid: int) -> str:
    """Its number and command line."""
    try:
        command = (PROC / str(pid) / "cmdline").read_bytes()
    except OSError:
        return f"{pid} (gone)"
    return f"{pid} {command.replace(bytes(1), b' ').decode(errors='replace')[-160:].strip()}"


def signal_marked(pid: int, folder: Path, number: signal.Signals) -> bool:
    """Signal a process of the stack; False where it is gone. Its number may be another's by now: a handle pins it."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return False
    try:
        if not is_marked(pid, folder):
            return False
        signal.pidfd_send_signal(handle, number)
    except ProcessLookupError:
        return False
    finally:
        os.close(handle)
    return True


def left_in_work_dirs(followers: Path) -> list[str]:
    """Attempts whose directory is still there, fetched pieces, and what else an idle agent does not keep."""
    found = []
    for work_dir in sorted(followers.iterdir()):
        for entry in sorted(work_dir.rglob("*")):
            name = entry.relative_to(work_dir)
            if entry.is_file() and str(name) not in KEPT_BY_AN_AGENT:
                found.append(f"{work_dir.name}/{name}")
        found += [f"{work_dir.name}/attempts/{entry.name}" for entry in (work_dir / "attempts").glob("*")]
    return sorted(set(found))


def left_in(folder: Path) -> list[str]:
    """Every entry of a folder that should be empty."""
    return sorted(str(entry.relative_to(folder)) for entry in folder.rglob("*"))
