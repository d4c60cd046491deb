"""Is anything left of a service that was stopped? Its processes and its port, looked at before and after."""

import socket
import time
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from follower.collect.proc import ProcessKey, parse_stat, read_text, read_tree
from follower.serve.protocol import Endpoint, Service
from shared.errors import AttemptFailed
from shared.jobs.lifecycle import Cause

PATIENCE_S: Final = 2.0
"""The kernel takes a moment to tear a large process down."""

_CONNECT_S: Final = 0.1  # on this machine; at the address of a container that is gone nobody answers at all
_POLL_S: Final = 0.01
_PROC: Final = Path("/proc")


@dataclass(frozen=True)
class Traces:
    """What a service has while it runs and must not have afterwards."""

    processes: frozenset[ProcessKey]
    endpoint: Endpoint

    @classmethod
    def of(cls, service: Service) -> Self:
        """Taken while it runs.

        Raises:
            AttemptFailed: it has no port yet.
        """
        return cls(frozenset(read_tree(_PROC, service.pids())), service.endpoint)

    def await_gone(self) -> None:
        """Returns once nothing is left.

        Raises:
            AttemptFailed: FOLLOWER_ERROR where something still is after ``PATIENCE_S``.
        """
        deadline = time.monotonic() + PATIENCE_S
        while left := self._left():
            if time.monotonic() > deadline:
                raise AttemptFailed(
                    Cause.FOLLOWER_ERROR,
                    f"the service was stopped, but {left}: the next start would not be from nothing",
                )
            time.sleep(_POLL_S)

    def _left(self) -> str:
        """In words; empty where there is nothing."""
        running = alive(self.processes)
        if running:
            return f"its processes {', '.join(map(str, sorted(pid for pid, _ in running)))} run on"
        return f"its port {self.endpoint.port} is still open" if _is_open(self.endpoint) else ""


def alive(processes: Collection[ProcessKey], proc: Path = _PROC) -> set[ProcessKey]:
    """Those that still run: not gone, not dead and waiting for a parent, not another's under the same number."""
    return {key for key in processes if _runs(key, proc)}


def _runs(key: ProcessKey, proc: Path) -> bool:
    try:
        text = read_text(proc / str(key[0]) / "stat")
    except OSError:
        return False
    state = text.rpartition(")")[2].split()[0]
    return parse_stat(text).key == key and state not in {"Z", "X"}


def _is_open(endpoint: Endpoint) -> bool:
    try:
        with socket.create_connection((endpoint.host, endpoint.port), timeout=_CONNECT_S):
            return True
    except OSError:
        return False
