"""What an earlier incarnation of this agent left behind: processes to end, results to deliver."""

import fcntl
import shutil
import uuid
from pathlib import Path
from typing import IO

import structlog
from pydantic import ValidationError

from follower.agent.events import AttemptKey
from follower.agent.reap import reap
from follower.attempt.order import AttemptDir
from follower.generate.blob_cache import PARTIAL
from shared.errors import Conflict

log = structlog.get_logger()


class WorkDir:
    """The agent's directory: one per agent, held by a lock that the kernel drops when the agent dies."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()  # leftovers are known by it, whichever way led here
        self._lock: IO[bytes] | None = None

    def home(self) -> str:
        """A random name that stays with the directory; made at the first start. To be called once it is ours.

        Raises:
            OSError: it cannot be read or written.
        """
        place = self.root / "home"
        if not place.exists():
            fresh = self.root / "home.fresh"
            fresh.write_text(uuid.uuid4().hex)
            fresh.replace(place)
        return place.read_text().strip()

    @property
    def attempts(self) -> Path:
        return self.root / "attempts"

    @property
    def cache(self) -> Path:
        return self.root / "cache"

    def attempt(self, key: AttemptKey) -> AttemptDir:
        """Where one attempt works."""
        return AttemptDir(self.attempts / f"{key.run_id}.a{key.attempt}.f{key.fence}")

    def take(self) -> None:
        """Make the directory ours.

        Raises:
            Conflict: another agent has it.
            OSError: it cannot be made.
        """
        self.attempts.mkdir(parents=True, exist_ok=True)
        self.cache.mkdir(exist_ok=True)
        self._lock = (self.root / "agent.lock").open("wb")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self._lock.close()
            raise Conflict(f"another follower works in {self.root}; give this one its own work_dir") from error

    def release(self) -> None:
        """Let another agent have it."""
        if self._lock is not None:
            self._lock.close()

    def clear(self) -> None:
        """End every process of an attempt in here, and drop what it was fetching. To be called before our own run."""
        if killed := reap(self.attempts):
            log.warning("leftover-processes-killed", count=killed)
        for partial in self.cache.glob(f"*{PARTIAL}"):
            partial.unlink(missing_ok=True)

    def undelivered(self) -> tuple[AttemptKey, ...]:
        """Attempts whose results are still here; what nobody can make sense of is removed."""
        keys = []
        for root in sorted(self.attempts.iterdir()):
            if key := _key_of(AttemptDir(root)):
                keys.append(key)
            else:
                shutil.rmtree(root)
        return tuple(keys)

    def forget(self, key: AttemptKey) -> None:
        """Remove an attempt's directory."""
        shutil.rmtree(self.attempt(key).root, ignore_errors=True)


def _key_of(directory: AttemptDir) -> AttemptKey | None:
    try:
        assignment = directory.read_order().assignment
    except (OSError, ValidationError) as error:
        log.warning("leftover-unreadable", directory=str(directory.root), reason=str(error).splitlines()[0])
        return None
    return AttemptKey(assignment.run_id, assignment.attempt, assignment.fence)
