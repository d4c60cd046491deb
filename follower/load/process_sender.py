"""Starts the sender process, passes on when it begins, watches over it, and brings its outcome back."""

import json
import os
import pickle
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from follower.load.outcome import SendFailure, fetch
from follower.load.protocol import LoadOutcome, LoadRequest
from follower.serve.launch import pinned
from shared.errors import AttemptFailed
from shared.jobs.lifecycle import Cause

_LOOK_S: Final = 0.2  # between two calls of keep_going
_START_TIMEOUT_S: Final = 60.0
_WRITE_TIMEOUT_S: Final = 120.0  # after the last request: samples of millions of requests are written to disk
_LOG_TAIL_BYTES: Final = 4096


class ProcessSender:
    """The sender as a process of its own on the client cores. It dies with the thread that calls ``run``."""

    def run(
        self,
        request: LoadRequest,
        *,
        on_start: Callable[[int, Sequence[int]], None],
        keep_going: Callable[[], None],
    ) -> LoadOutcome:
        """Runs the plan to its end.

        Raises:
            AttemptFailed: PIPELINE_FAILED where the ops cannot be built; FOLLOWER_ERROR where the sender itself failed.
        """
        folder = request.samples_path.parent
        with (
            tempfile.TemporaryDirectory(prefix="sender-", dir=folder) as private,
            _Child(request, Path(private), keep_going) as child,
        ):
            origin_ns = child.await_start()
            if origin_ns is not None:
                on_start(origin_ns, (child.pid,))
                child.await_end(origin_ns + request.plan.end_ns + request.request_timeout_ns)
            return child.outcome()


class _Child:
    """The process, for as long as it is needed: leaving the context ends it."""

    def __init__(self, request: LoadRequest, folder: Path, keep_going: Callable[[], None]) -> None:
        self._keep_going = keep_going
        self._folder = folder
        self._log = folder / "sender.log"
        job = folder / "job.pickle"
        job.write_bytes(pickle.dumps(request))
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                _argv(request.client_cores, job),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
            )
        assert self._process.stdout is not None  # noqa: S101 - a pipe was asked for
        self._output = self._process.stdout
        self.pid = self._process.pid

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()
        self._output.close()

    def await_start(self) -> int | None:
        """The announced origin; None where the sender ended without one."""
        announced = b""
        deadline_s = time.monotonic() + _START_TIMEOUT_S
        while not announced.endswith(b"\n"):
            piece = self._read(deadline_s)
            if not piece:
                return None
            announced += piece
        return int(json.loads(announced)["origin_ns"])

    def await_end(self, last_request_ns: int) -> None:
        """Waits for the process to end by itself; its pipe closes with it."""
        deadline_s = last_request_ns / 1e9 + _WRITE_TIMEOUT_S
        while self._read(deadline_s):
            continue

    def outcome(self) -> LoadOutcome:
        """What the process left behind."""
        returncode = self._process.wait(timeout=_WRITE_TIMEOUT_S)
        outcome = fetch(self._folder)
        if returncode != 0 or outcome is None:
            raise self._failure(f"the load sender ended with {_how(returncode)}")
        if isinstance(outcome, SendFailure):
            raise AttemptFailed(outcome.cause, outcome.detail)
        return outcome

    def _read(self, deadline_s: float) -> bytes:
        """The next piece of the process's output; empty once that is closed. Calls keep_going meanwhile."""
        while not select.select([self._output], [], [], _LOOK_S)[0]:
            self._keep_going()
            if time.monotonic() > deadline_s:
                raise self._failure("the load sender does not get on")
        return os.read(self._output.fileno(), 4096)

    def _failure(self, detail: str) -> AttemptFailed:
        tail = self._log.read_bytes()[-_LOG_TAIL_BYTES:].decode(errors="replace")
        return AttemptFailed(Cause.FOLLOWER_ERROR, detail, log_tail=tail)


def _argv(cores: Sequence[int], job: Path) -> list[str]:
    prepare = [sys.executable, "-I", "-S", pinned.__file__, str(os.getpid()), ",".join(map(str, cores)), "0"]
    return [*prepare, sys.executable, "-P", "-m", "follower.load.sender", str(job)]


def _how(returncode: int) -> str:
    return f"signal {-returncode}" if returncode < 0 else f"exit code {returncode}"
