"""Whether an attempt runs on this machine, for those who would disturb it.

An agent holds the locks on its devices from its start to its end, so they do not tell. Each attempt therefore inherits
a mark on each of its devices as well: a lock that nobody else keeps, and that ends with the attempt, however it ends.
"""

import time
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import structlog

from follower.agent.lock_file import Busy, Holder, holder_of, let_go, lock_file
from follower.inventory.devices import Device
from shared.errors import InvalidInput

PREFIX: Final = "measuring-"
_TRIES: Final = 20
_PAUSE_S: Final = 0.01  # who looks at a mark has it for microseconds

log = structlog.get_logger()


@contextmanager
def marked(
    directory: Path, devices: Iterable[Device], holder: Holder, *, sleep: Callable[[float], None] = time.sleep
) -> Generator[tuple[int, ...]]:
    """Descriptors that an attempt on these devices is to inherit within the block.

    A mark that cannot be had costs the attempt nothing but quiet: it is logged and left out.
    """
    marks = [mark for device in devices if (mark := _mark(directory, PREFIX + device.file, holder, sleep)) is not None]
    try:
        yield tuple(marks)
    finally:
        for mark in marks:
            let_go(mark)


def _mark(directory: Path, name: str, holder: Holder, sleep: Callable[[float], None]) -> int | None:
    reason = ""
    for _ in range(_TRIES):
        try:
            return lock_file(directory, name, holder)
        except Busy as busy:
            reason = str(busy)
            sleep(_PAUSE_S)
        except (InvalidInput, OSError) as error:
            reason = str(error)
            break
    log.warning("measuring-mark-missing", mark=name, reason=reason)
    return None


def who_measures(directory: Path) -> str | None:
    """In words, on whose behalf attempts run on this machine now; None where none does.

    ``directory``: where the locks on this machine's devices lie. One that cannot be looked into counts as busy.
    """
    try:
        names = sorted(entry.name for entry in directory.iterdir() if entry.name.startswith(PREFIX))
        holders = [holder for name in names if (holder := holder_of(directory, name)) is not None]
    except FileNotFoundError:
        return None
    except OSError as error:
        return f"somebody, perhaps: {error}"
    return "; ".join(dict.fromkeys(holders)) or None
