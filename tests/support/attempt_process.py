"""A real ``python -m follower.attempt``, as the agent starts it, for tests to watch, freeze and kill."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter
from support.assignments import inventory, slot

from follower.agent.attempts import DEFAULT_COMMAND
from follower.agent.reap import carriers_of, reap
from follower.attempt.order import AttemptDir, AttemptOrder
from follower.serve.launch import pinned
from follower.settings import child_environment
from shared.wire.assignment import Assignment, Failure, ProgressEvent, Success
from shared.wire.identity import Slot

OUTCOME: TypeAdapter[Success | Failure] = TypeAdapter(Success | Failure)


@dataclass
class RunningAttempt:
    """The process, its story so far, and its directory."""

    directory: AttemptDir
    process: subprocess.Popen[str]
    story: list[ProgressEvent] = field(default_factory=list)
    _told: threading.Condition = field(default_factory=threading.Condition)

    def listen(self) -> None:
        """Read the story until it ends; for a thread."""
        assert self.process.stdout is not None
        with self.process.stdout as lines:
            for line in lines:
                with self._told:
                    self.story.append(ProgressEvent.model_validate_json(line))
                    self._told.notify_all()

    def wait_for(self, kind: str, timeout_s: float = 60.0) -> ProgressEvent:
        """The first event of this kind, once it is told."""
        with self._told:
            assert self._told.wait_for(lambda: any(event.kind == kind for event in self.story), timeout_s), self.log
            return next(event for event in self.story if event.kind == kind)

    def finish(self, timeout_s: float = 90.0) -> Success | Failure:
        """The outcome, after the process has ended by itself."""
        assert self.process.wait(timeout_s) == 0, self.log
        return OUTCOME.validate_json(self.directory.outcome.read_bytes())

    def succeed(self, timeout_s: float = 90.0) -> Success:
        """The same, where nothing else will do."""
        outcome = self.finish(timeout_s)
        assert isinstance(outcome, Success), (outcome, self.log)
        return outcome

    def fail(self, timeout_s: float = 90.0) -> Failure:
        """The same, for a failure."""
        outcome = self.finish(timeout_s)
        assert isinstance(outcome, Failure), outcome
        return outcome

    def server_pid(self) -> int:
        """The serving process, from the directory that it carries as its home."""
        (pid, *_) = [pid for pid in carriers_of(self.directory.server) if "server" in _command_line(pid)]
        return pid

    @property
    def log(self) -> str:
        return self.directory.log.read_text()


@contextmanager
def attempt_process(
    root: Path, assignment: Assignment, *, pinned_slot: Slot | None = None, **order: Any
) -> Iterator[RunningAttempt]:
    """Start an attempt in ``root``; whatever the test does, nothing of it is left afterwards."""
    directory = AttemptDir(root / "attempt")
    directory.root.mkdir(parents=True)
    (root / "cache").mkdir(exist_ok=True)
    complete = AttemptOrder.model_validate(
        {
            "follower": "follower-1",
            "incarnation": "incarnation-1",
            "slot": pinned_slot or slot(),
            "inventory": inventory(),
            "assignment": assignment,
            "leader_url": "http://127.0.0.1:9",
            "token_file": root / "token",
            "cache_dir": root / "cache",
            "max_cache_bytes": 10**9,
            "preflight": "off",
            "max_busy_share": 0.25,
            "invalid_busy_share": 0.6,
            **order,
        }
    )
    directory.order.write_text(complete.model_dump_json())
    tied_to_us = [sys.executable, "-I", "-S", pinned.__file__, str(os.getpid()), "", "0"]
    with directory.log.open("wb") as log:
        process = subprocess.Popen(
            [*tied_to_us, *DEFAULT_COMMAND, str(directory.root)],
            env=child_environment(directory.root),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            start_new_session=True,
            text=True,
        )
    attempt = RunningAttempt(directory, process)
    listener = threading.Thread(target=attempt.listen)
    listener.start()
    try:
        yield attempt
    finally:
        process.kill()
        process.wait()
        reap(root)
        listener.join(10)


def _command_line(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()


def story_kinds(attempt: RunningAttempt) -> list[str]:
    """The story's kinds in order, repeats folded."""
    kinds: list[str] = []
    for event in attempt.story:
        if not kinds or kinds[-1] != event.kind:
            kinds.append(event.kind)
    return kinds
