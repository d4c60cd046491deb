"""One child process of the stack: started so that it cannot outlive us, stopped politely, then not."""

import ctypes
import os
import signal
import subprocess
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Final

from cli.stack.plan import ChildPlan

TAIL_LINES: Final = 15
_TAIL_BYTES: Final = 16_384
_PR_SET_PDEATHSIG: Final = 1  # linux/prctl.h
_LIBC: Final = ctypes.CDLL(None, use_errno=True)  # looked up before the fork: nothing may be imported after it


def before_exec(parent_pid: int, unblock: Collection[signal.Signals]) -> Callable[[], None]:
    """What the forked child does before it becomes the program: die with its parent, take signals again.

    The kernel's signal belongs to the parent's *thread*: start children from the main thread.
    """

    def prepare() -> None:
        if _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0 or os.getppid() != parent_pid:
            os._exit(1)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, unblock)

    return prepare


class Child:
    """A started child."""

    def __init__(self, plan: ChildPlan, log: Path, unblock: Collection[signal.Signals]) -> None:
        """Starts it, its output going to ``log`` (the last start's log is kept as ``.1``).

        Raises:
            OSError: the program or the log cannot be opened.
        """
        self.plan, self.log = plan, log
        if log.exists():
            log.replace(log.with_suffix(".log.1"))
        with open(log, "wb", opener=_owner_only) as output:
            self._process = subprocess.Popen(
                plan.argv,
                cwd=log.parent,
                env=dict(plan.environment),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C in the terminal is for the supervisor
                preexec_fn=before_exec(os.getpid(), unblock),  # noqa: PLW1509 - no threads here, and prctl needs it
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def ending(self) -> str | None:
        """How it ended, in words; None while it lives."""
        code = self._process.poll()
        if code is None:
            return None
        return f"exit code {code}" if code >= 0 else f"signal {signal.Signals(-code).name}"

    def stop(self) -> None:
        """SIGTERM, the planned time to obey, SIGKILL. Does nothing where it has ended."""
        self._process.terminate()
        try:
            self._process.wait(self.plan.stop_within_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def log_tail(self) -> str:
        """The last lines of its log."""
        with self.log.open("rb") as log:
            log.seek(max(0, self.log.stat().st_size - _TAIL_BYTES))
            return "\n".join(log.read().decode(errors="replace").splitlines()[-TAIL_LINES:])


def _owner_only(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
