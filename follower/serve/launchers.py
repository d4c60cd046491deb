"""Every launcher of this follower, by its name in the job file. A new one is one file and one row."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

from follower.serve.launch.container import DockerLauncher
from follower.serve.launch.process import ProcessLauncher
from follower.serve.launch.protocol import Launcher
from shared.errors import NotAvailable

LAUNCHERS: Final[Mapping[str, Launcher]] = MappingProxyType({"process": ProcessLauncher(), "docker": DockerLauncher()})


def find_launcher(name: str) -> Launcher:
    """The launcher of this name.

    Raises:
        NotAvailable: there is none; the message lists those that there are.
    """
    if name not in LAUNCHERS:
        raise NotAvailable(f"unknown launcher {name!r}; this follower has {', '.join(sorted(LAUNCHERS))}")
    return LAUNCHERS[name]


def available(names: Sequence[str]) -> tuple[str, ...]:
    """Those of these launchers that can start anything on this machine now."""
    return tuple(name for name in names if find_launcher(name).is_available())
