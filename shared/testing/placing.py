"""Where a golden server runs: on its own cores and before others, so that its times are its law's."""

import os
from contextlib import suppress
from typing import Final

_NICENESS: Final = -10


def place(cores: str) -> None:
    """Pins this process to cores ("0,2") and puts it first there, where that is permitted; "" leaves it as it is."""
    if not cores:
        return
    os.sched_setaffinity(0, [int(core) for core in cores.split(",")])
    with suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, 0, _NICENESS)
