"""The processes of attempts: started, listened to, killed. Each ends in exactly one ``AttemptExited``."""

import errno
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Final

import structlog
from pydantic import ValidationError

from follower.agent.events import AttemptExited, AttemptKey, AttemptProgressed, Event
from follower.agent.reap import reap
from follower.attempt.order import EXIT_DISK_FULL, AttemptDir, AttemptOrder
from follower.serve.containers.leftovers import remove_below
from follower.serve.launch import pinned
from follower.serve.launch.log import tail
from follower.settings import child_environment
from shared.jobs.lifecycle import Cause
from shared.wire.assignment import Failure, ProgressEvent

DRAIN_S: Final = 2.0
DEFAULT_COMMAND: Final = (sys.executable, "-P", "-m", "follower.attempt")

log = structlog.get_logger()


class Attempts:
    """The attempt processes of one agent.

    ``start`` is to be called from a thread that lives as long as the agent: the kernel ends an attempt together with
    the thread that started it.
    """

    def __init__(self, post: Callable[[Event], None], command: Sequence[str] = DEFAULT_COMMAND) -> None:
        self._post = post
        self._command = tuple(command)
        self._running: dict[AttemptKey, subprocess.Popen[str]] = {}

    def start(
        self, key: AttemptKey, directory: AttemptDir, order: AttemptOrder, inherited: Collection[int] = ()
    ) -> None:
        """Spawn ``COMMAND DIRECTORY``, tied to us and pinned to the client's cores; what goes wrong is an exit.

        ``inherited``: descriptors that the attempt keeps open as long as it lives: the locks on its slot.
        """
        try:
            process = self._spawn(directory, order, inherited)
        except OSError as error:
            log.exception("attempt-not-started", attempt=str(key))
            self._post(AttemptExited(key, _not_started(error)))
            return
        self._running[key] = process
        log.info("attempt-started", attempt=str(key), pid=process.pid)
        threading.Thread(
            target=self._watch, args=(key, directory, order, process), name=f"watch-{key}", daemon=True
        ).start()

    def kill(self, key: AttemptKey, directory: AttemptDir, last_word: Failure | None = None) -> None:
        """SIGKILL: what the attempt started dies with it. One that is gone already is no error.

        ``last_word`` is what will be delivered for it; written down first, so that a later start still knows it.
        """
        if last_word is not None:
            _leave(directory, last_word)
        if process := self._running.get(key):
            process.kill()

    def kill_all(self) -> None:
        """End everything, for good."""
        for process in tuple(self._running.values()):
            process.kill()

    def _spawn(self, directory: AttemptDir, order: AttemptOrder, inherited: Collection[int]) -> subprocess.Popen[str]:
        directory.root.mkdir(parents=True)
        directory.order.write_text(order.model_dump_json())
        cores = ",".join(map(str, order.slot.client_cores))
        prepare = [sys.executable, "-I", "-S", pinned.__file__, str(os.getpid()), cores, "0"]
        with directory.log.open("ab") as stderr:
            return subprocess.Popen(
                [*prepare, *self._command, str(directory.root)],
                env=child_environment(directory.root),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=stderr,
                start_new_session=True,
                pass_fds=tuple(inherited),
                text=True,
            )

    def _watch(
        self, key: AttemptKey, directory: AttemptDir, order: AttemptOrder, process: subprocess.Popen[str]
    ) -> None:
        """Until the process is gone, with all that it started; only then has it exited."""
        reader = threading.Thread(target=self._read, args=(key, process), name=f"read-{key}", daemon=True)
        reader.start()
        status = process.wait()
        left_behind = reap(directory.root) + self._containers_left(directory, order)
        reader.join(DRAIN_S)
        self._running.pop(key, None)
        log.info("attempt-exited", attempt=str(key), status=status, left_behind=left_behind)
        self._post(AttemptExited(key, None if directory.outcome.exists() else _without_outcome(status, directory.log)))

    def _containers_left(self, directory: AttemptDir, order: AttemptOrder) -> int:
        """The engine is asked only where the attempt had to do with it."""
        return remove_below(directory.root) if order.assignment.spec.service.launch == "docker" else 0

    def _read(self, key: AttemptKey, process: subprocess.Popen[str]) -> None:
        if process.stdout is None:
            return
        with process.stdout as lines:
            for line in lines:
                self._tell(key, line)

    def _tell(self, key: AttemptKey, line: str) -> None:
        try:
            event = ProgressEvent.model_validate_json(line)
        except ValidationError:
            log.warning("attempt-said-nonsense", attempt=str(key), line=line[:200])
            return
        self._post(AttemptProgressed(key, event))


def _leave(directory: AttemptDir, last_word: Failure) -> None:
    try:
        directory.last_word.write_text(last_word.model_dump_json())
    except OSError as error:
        log.warning("last-word-not-written", directory=str(directory.root), reason=str(error))


def _not_started(error: OSError) -> Failure:
    if error.errno == errno.ENOSPC:
        return Failure(cause=Cause.DISK_FULL, detail=f"no space for the attempt: {error}")
    return Failure(cause=Cause.FOLLOWER_ERROR, detail=f"the attempt could not be started: {error}")


def _without_outcome(status: int, log_path: Path) -> Failure:
    if status == EXIT_DISK_FULL:
        return Failure(cause=Cause.DISK_FULL, detail="no space for the attempt's outcome", log_tail=tail(log_path))
    how = f"was killed by signal {-status}" if status < 0 else f"exited with status {status}"
    return Failure(
        cause=Cause.FOLLOWER_ERROR, detail=f"the attempt's process {how} without an outcome", log_tail=tail(log_path)
    )
