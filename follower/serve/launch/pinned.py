"""Ties itself to its parent, to cores and to a memory limit, then becomes the command.

Run as a plain script in a bare interpreter (``python -I -S pinned.py PARENT CORES MEMORY COMMAND...``): it takes
about 10 ms, and unlike a ``preexec_fn`` it runs no Python between fork and exec, which a caller with threads could
deadlock in. The death signal, the cores and the limits outlive the exec.
"""

import ctypes
import os
import resource
import signal
import sys
from pathlib import Path

PR_SET_PDEATHSIG = 1  # <linux/prctl.h>
CANNOT_PREPARE = 126  # the shell's codes: found but not runnable, not found
CANNOT_EXECUTE = 127
OOM_SCORE = "500"  # under memory pressure the server goes first and whoever supervises it lives


def die_with(parent: int) -> None:
    """Has the kernel kill this process once its parent is gone, also if that happened just now."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)


def confine(cores: str, memory_bytes: str) -> None:
    """Pins to cores ("0,2"; "" leaves them alone), limits the address space ("0": no limit), forbids core dumps."""
    if cores:
        os.sched_setaffinity(0, [int(core) for core in cores.split(",")])
    if int(memory_bytes):
        resource.setrlimit(resource.RLIMIT_AS, (int(memory_bytes), int(memory_bytes)))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    Path("/proc/self/oom_score_adj").write_text(OOM_SCORE, encoding="ascii")


def main(parent: str, cores: str, memory_bytes: str, *command: str) -> int:
    """Returns only on failure."""
    try:
        die_with(int(parent))
        confine(cores, memory_bytes)
    except OSError as error:
        sys.stderr.write(f"cannot prepare {command[0]} on cores {cores or 'any'}: {error}\n")
        return CANNOT_PREPARE
    try:
        os.execvp(command[0], command)  # noqa: S606 - becoming the command, without a shell, is the point
    except OSError as error:
        sys.stderr.write(f"cannot execute {command[0]}: {error}\n")
    return CANNOT_EXECUTE


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
