"""Finds containers of attempts that nobody looks after any more, and ends them; touches nothing else."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import structlog

from follower.serve.containers.confinement import WORKDIR_LABEL
from follower.serve.containers.engine import SOCKET, Engine
from shared.errors import AttemptFailed, NotAvailable

FOLLOWER_LABEL: Final = "inferbench.follower"
INCARNATION_LABEL: Final = "inferbench.incarnation"

log = structlog.get_logger()


def works_below(labels: Mapping[str, str], root: Path) -> bool:
    """Whether a container's work directory is ``root`` or below it."""
    place = labels.get(WORKDIR_LABEL)
    return place is not None and (Path(place) == root or root in Path(place).parents)


def is_leftover(labels: Mapping[str, str], *, follower: str, incarnation: str, root: Path) -> bool:
    """Whether an earlier incarnation of this very follower started it.

    Two stacks on one machine may both call their follower by the host's name, so the work directory, which one agent
    at a time can hold, has to be ours too: then whoever carries another incarnation is older.
    """
    return (
        labels.get(FOLLOWER_LABEL) == follower
        and labels.get(INCARNATION_LABEL, incarnation) != incarnation
        and works_below(labels, root)
    )


def remove_older(follower: str, incarnation: str, root: Path, path: Path = SOCKET) -> int:
    """Remove what earlier incarnations of a follower left below ``root``; how many there were."""
    return _remove(path, lambda labels: is_leftover(labels, follower=follower, incarnation=incarnation, root=root))


def remove_below(root: Path, path: Path = SOCKET) -> int:
    """Remove every container whose work directory is ``root`` or below it; how many there were."""
    return _remove(path, lambda labels: works_below(labels, root))


def _remove(path: Path, wanted: Callable[[Mapping[str, str]], bool]) -> int:
    """Where no engine answers there is nothing to remove: what it had started has ended with its standard input."""
    try:
        engine = Engine.connect(path)
    except NotAvailable:
        return 0
    try:
        found = [container for container, labels in engine.labelled(WORKDIR_LABEL).items() if wanted(labels)]
        for container in found:
            engine.remove(container)
    except AttemptFailed as error:
        log.warning("containers-not-removed", reason=error.detail)
        return 0
    finally:
        engine.close()
    return len(found)
