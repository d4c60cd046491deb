"""The contract of a launcher: start a command, watch it, end it and everything that it started.

Obligations of every implementation:

* What is started dies with the calling process, whatever kills that. Linux ties this to the calling *thread*, so
  ``start`` is called from one that lives as long as the launched command: in practice the main thread.
* The command sees the environment of the request and nothing of the caller's.
* ``stop`` ends the whole tree, by force after ``STOP_GRACE_S``; calling it twice, or after the end, is harmless.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

STOP_GRACE_S: Final = 2.0
"""How long a command may take to obey SIGTERM before it is killed."""


@dataclass(frozen=True, kw_only=True)
class LaunchRequest:
    """What to run and inside which limits."""

    argv: Sequence[str]
    cores: Sequence[int]  # empty: no pinning
    threads: int  # what numeric libraries may use, through OMP_NUM_THREADS and its kin
    workdir: Path  # current directory, home and scratch of the command
    log_path: Path  # standard output and error
    environment: Mapping[str, str] = field(default_factory=dict)  # on top of the minimal one
    memory_bytes: int | None = None  # most address space; None: no limit


@dataclass(frozen=True, kw_only=True)
class Exit:
    """How a command ended. A negative ``returncode`` is the signal that killed it, as in ``subprocess``."""

    returncode: int
    oom_kills: int = 0  # processes that the kernel killed for memory, machine-wide, while the command lived


class Launched(Protocol):
    """A command that has been started."""

    @property
    def log_path(self) -> Path: ...

    def pids(self) -> tuple[int, ...]:
        """The live processes of the command's tree."""
        ...

    def poll(self) -> Exit | None:
        """How it ended, or None while it runs."""
        ...

    def stop(self) -> None:
        """Ends it within ``STOP_GRACE_S`` and a little.

        Raises:
            AttemptFailed: FOLLOWER_ERROR if it outlives even SIGKILL.
        """
        ...


class Launcher(Protocol):
    """A way to start a command."""

    @property
    def name(self) -> str:
        """As ``service.launch`` of the job file spells it."""
        ...

    def start(self, request: LaunchRequest) -> Launched: ...
