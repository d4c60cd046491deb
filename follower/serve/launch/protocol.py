"""The contract of a launcher: start a command, watch it, end it and everything that it started.

Obligations of every implementation:

* What is started dies with the calling process, whatever kills that. For processes Linux ties this to the calling
  *thread*, so ``start`` is called from one that lives as long as the launched command: in practice the main thread.
* The command sees the environment of the request and nothing of the caller's.
* ``stop`` ends the whole tree, by force after ``STOP_GRACE_S``; calling it twice, or after the end, is harmless.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

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
    memory_bytes: int | None = None  # most address space, of a container most memory; None: the launcher's own limit
    image: str | None = None  # what a container is made of
    reads: Sequence[Path] = ()  # beside ``workdir`` all that a container sees of this machine, at the same paths
    labels: Mapping[str, str] = field(default_factory=dict)  # by which a later agent knows a container as its own


@dataclass(frozen=True, kw_only=True)
class Exit:
    """How a command ended. A negative ``returncode`` is the signal that killed it, as in ``subprocess``."""

    returncode: int
    oom_kills: int = 0
    """Processes that the kernel killed for memory while the command lived: machine-wide, of a container its own."""


class Launched(Protocol):
    """A command that has been started."""

    @property
    def log_path(self) -> Path: ...

    @property
    def address(self) -> str:
        """Where this machine reaches the ports that the command opens."""
        ...

    def facts(self) -> Mapping[str, Any]:
        """How it runs, for the record: JSON values."""
        ...

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

    @property
    def listen_host(self) -> str:
        """What a server that it starts is to listen on, so that this machine reaches it and no other does."""
        ...

    def is_available(self) -> bool:
        """Whether it can start anything on this machine now."""
        ...

    def require(self, image: str | None) -> None:
        """Looks before a start is timed.

        Raises:
            NotAvailable: nothing can be started, or not from this image; says what would be right.
        """
        ...

    def start(self, request: LaunchRequest) -> Launched: ...
