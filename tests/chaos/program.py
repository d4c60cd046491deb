"""Programs of a stack that may be killed, frozen and started again, by several threads, and that cannot outlive us."""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from support.mongo_servers import die_with_parent

MARK: Final = "CHAOS_STACK"
"""In the environment of every process of a stack, with the stack's folder as its value."""
STOP_WITHIN_S: Final = 20.0
LOOK_EVERY_S: Final = 0.2
STOPPED: Final = frozenset({0, -signal.SIGTERM})
"""How a program ends that is asked to; it may not have got so far as to listen."""


class Nursery:
    """Starts every program from one thread: the kernel ends a program together with the thread that started it."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="nursery")

    def start(self, argv: Sequence[str], environment: Mapping[str, str], log: Path) -> subprocess.Popen[bytes]:
        """A process whose output is appended to ``log``."""

        def spawn() -> subprocess.Popen[bytes]:
            with log.open("ab") as output:
                return subprocess.Popen(
                    argv,
                    cwd=log.parent,
                    env=dict(environment),
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    preexec_fn=die_with_parent,  # noqa: PLW1509 - one prctl call, no locks taken
                )

        return self._thread.submit(spawn).result()

    def close(self) -> None:
        """No more starts, and the end of what still runs."""
        self._thread.shutdown()


@dataclass
class Program:
    """One program. Whoever does something to it holds ``guard`` until it runs again as it should.

    ``may_give_up``: exit statuses with which it may end by itself, to be started again; any other is noted.
    """

    name: str
    argv: tuple[str, ...]
    environment: Mapping[str, str]
    log: Path
    nursery: Nursery
    may_give_up: frozenset[int] = frozenset()
    guard: threading.RLock = field(default_factory=threading.RLock, repr=False)
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)
    starts: int = 0
    surprises: list[str] = field(default_factory=list)

    def start(self) -> None:
        """Start it; that it is ready is another matter."""
        self.process = self.nursery.start(self.argv, self.environment, self.log)
        self.starts += 1

    @property
    def pid(self) -> int | None:
        """None where it is not running."""
        return self.process.pid if self.process is not None and self.process.poll() is None else None

    def signal(self, number: int) -> None:
        """To the process itself; one that is gone does not mind."""
        if self.process is not None:
            self.process.send_signal(number)

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        self.signal(signal.SIGKILL)
        self._collect()

    def freeze(self, span_s: float) -> None:
        """SIGSTOP, and SIGCONT after so long."""
        self.signal(signal.SIGSTOP)
        try:
            time.sleep(span_s)
        finally:
            self.signal(signal.SIGCONT)

    def stop(self) -> None:
        """Ask it to end, and wait until it has."""
        self.signal(signal.SIGTERM)
        status = self._collect()
        if status not in STOPPED | self.may_give_up:
            self.surprises.append(f"{self.name} ended with {status} when stopped: {self.last_words()}")

    def revive(self) -> None:
        """Start it again if it ended by itself, and note that if it should not have."""
        if self.process is None or self.process.poll() is None:
            return
        if self.process.returncode not in self.may_give_up:
            self.surprises.append(f"{self.name} ended by itself with {self.process.returncode}: {self.last_words()}")
        self.start()

    def last_words(self) -> str:
        """The end of its output."""
        return self.log.read_text(errors="replace")[-400:].strip() if self.log.exists() else ""

    def _collect(self) -> int | None:
        if self.process is None:
            return None
        try:
            return self.process.wait(STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            self.surprises.append(f"{self.name} did not stop within {STOP_WITHIN_S:g} s")
            self.process.kill()
            return self.process.wait()


class Keeper:
    """Starts again what ended by itself, as a service manager would, unless somebody holds the program."""

    def __init__(self, programs: Sequence[Program]) -> None:
        self._programs = programs
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="keeper", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.set()
        self._thread.join()

    def _keep(self) -> None:
        while not self._closing.wait(LOOK_EVERY_S):
            for program in self._programs:
                if program.guard.acquire(blocking=False):
                    try:
                        program.revive()
                    finally:
                        program.guard.release()


def environment_of(folder: Path, **own: str) -> dict[str, str]:
    """What every program of the stack sees: our mark, our imports, a folder for temporary files, and its own."""
    root = Path(__file__).parents[2]
    inherited = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}  # noqa: TID251 - hands them on
    return {
        **inherited,
        MARK: str(folder),
        "PYTHONPATH": f"{root}:{root / 'tests'}",
        "TMPDIR": str(folder / "tmp"),
        **own,
    }
