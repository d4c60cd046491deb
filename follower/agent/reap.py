"""Finds processes of attempts by the directory that they carry, and ends them; touches nothing else.

Every process of an attempt carries its directory in its environment: the attempt and its senders as our mark, the
serving software, which sees nothing of our environment, as its home.
"""

import os
import select
import signal
from pathlib import Path
from typing import Final

from follower.settings import ATTEMPT_MARK

DEATH_S: Final = 5.0
"""More than a killed process needs to be gone."""
_CARRIERS: Final = (f"{ATTEMPT_MARK}=".encode(), b"HOME=")


def carriers_of(root: Path, proc: Path = Path("/proc")) -> tuple[int, ...]:
    """Processes of ours whose attempt directory is ``root`` or below it."""
    pids = (int(entry.name) for entry in proc.iterdir() if entry.name.isdigit())
    return tuple(pid for pid in pids if pid != os.getpid() and carries(_environment(proc, pid), root))


def carries(environment: bytes, root: Path) -> bool:
    """Whether a NUL-separated environment names ``root`` or something below it as its attempt's place."""
    for entry in environment.split(b"\0"):
        if entry.startswith(_CARRIERS):
            place = Path(os.fsdecode(entry.partition(b"=")[2]))
            if place == root or root in place.parents:
                return True
    return False


def reap(root: Path) -> int:
    """Kill every process that carries ``root``, until none is left; how many there were."""
    killed: set[int] = set()
    while pids := set(carriers_of(root)) - killed:
        killed |= {pid for pid in pids if _kill(pid, root)}
        if not pids & killed:
            break
    return len(killed)


def _kill(pid: int, root: Path) -> bool:
    """End a process and wait until it is gone.

    Its number may be given anew at any time, so it is pinned down by a handle before it is looked at once more.
    """
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return False
    try:
        if not carries(_environment(Path("/proc"), pid), root):
            return False
        signal.pidfd_send_signal(handle, signal.SIGKILL)
        return bool(select.select([handle], [], [], DEATH_S)[0])  # readable once it has ended
    except ProcessLookupError:
        return False
    finally:
        os.close(handle)


def _environment(proc: Path, pid: int) -> bytes:
    """A process's environment; empty for one that is gone, is a zombie, or is not ours to look at."""
    try:
        return (proc / str(pid) / "environ").read_bytes()
    except OSError:
        return b""
