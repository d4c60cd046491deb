"""Ports for a server that cannot choose its own."""

import re
import socket
from contextlib import ExitStack
from typing import Final

HOST: Final = "127.0.0.1"

_TAKEN: Final = re.compile(r"Socket '([^']+)' already in use")


def free_ports(count: int) -> tuple[int, ...]:
    """Different ports that nobody has now; somebody may have one by the time it is used."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind((HOST, 0))
        return tuple(int(each.getsockname()[1]) for each in sockets)


def taken_address(log: str) -> str | None:
    """The address that the server found in use; None where it ended for another reason."""
    found = _TAKEN.search(log)
    return found[1] if found else None
