"""What a child of ours does first: die with its parent, and stay on its cores."""

import ctypes
import os
import signal
from collections.abc import Sequence
from typing import Final

_PR_SET_PDEATHSIG: Final = 1  # linux/prctl.h


def die_with_parent(parent_pid: int) -> None:
    """Has the kernel kill this process as soon as ``parent_pid`` dies, whatever kills that.

    The signal belongs to the thread that started this process: a parent starts children from a thread that lives
    as long as it does.

    Raises:
        OSError: the kernel refuses.
        SystemExit: the parent died before this call.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
    if os.getppid() != parent_pid:
        raise SystemExit(f"the parent {parent_pid} is gone")


def pin(cores: Sequence[int]) -> None:
    """Keeps this process, and what it starts from now on, on ``cores``; no cores means anywhere.

    Raises:
        OSError: none of the cores is allowed to this process.
    """
    if cores:
        os.sched_setaffinity(0, cores)
