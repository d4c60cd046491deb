"""Which core the load generator and which one the server has in a benchmark: the first and the last of this process."""

import os
from collections.abc import Sequence
from typing import Final

_OWN: Final = sorted(os.sched_getaffinity(0))
CLIENT: Final = _OWN[0]
SERVER: Final = _OWN[-1]
HAS_TWO: Final = CLIENT != SERVER


def on_client(command: Sequence[str]) -> list[str]:
    """The command on the client's core, and as far to the front there as our own sender puts itself."""
    return ["taskset", "--cpu-list", str(CLIENT), "nice", "--adjustment=-10", *command]
