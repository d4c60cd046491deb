"""One sender process as its parent sees it: started, told when to begin, listened to, killed."""

import os
import pickle
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import IO, Final

from follower.load.outcome import SendFailure, WorkerOutcome, fetch
from follower.load.protocol import LoadRequest
from follower.load.samples import WrittenRows, new_table_file
from follower.load.sender import SenderJob
from follower.serve.launch import pinned
from shared.errors import AttemptFailed
from shared.jobs.lifecycle import Cause
from shared.workload.plan import Plan

LOG_TAIL_BYTES: Final = 4096
_END_TIMEOUT_S: Final = 10.0  # from the end of its output to the end of the process


class SenderProcess:
    """Runs one slice of a plan on one core. It dies with the thread that started it."""

    def __init__(self, request: LoadRequest, plan: Plan, worker: int, folder: Path, *, workers: int = 1) -> None:
        """Starts number ``worker`` of ``workers``; ``plan`` is its slice, ``folder`` its own."""
        self.worker = worker
        self.plan = plan
        self.is_ready = False
        self._folder = folder
        self._log = folder / "sender.log"
        self._table_file = new_table_file(f"samples-{worker}")
        job = SenderJob(
            request=replace(request, plan=plan), worker=worker, workers=workers, table_file=self._table_file
        )
        job_file = folder / "job.pickle"
        job_file.write_bytes(pickle.dumps(job))
        cores = request.client_cores
        core = str(cores[worker % len(cores)]) if cores else ""
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                _argv(core, job_file),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
                pass_fds=[self._table_file],
            )
        self.pid = self._process.pid
        self.written = WrittenRows(self._table_file)
        self.name = f"load sender {worker}" + (f" on core {core}" if core else "")

    @property
    def output(self) -> IO[bytes]:
        """What it says: ``ready``; closed when it ends."""
        assert self._process.stdout is not None  # noqa: S101 - a pipe was asked for
        return self._process.stdout

    def begin(self, origin_ns: int) -> None:
        """Tells it when the plan's zero falls. One that is gone is found out by its closed output."""
        assert self._process.stdin is not None  # noqa: S101 - a pipe was asked for
        try:
            self._process.stdin.write(f"{origin_ns}\n".encode())
            self._process.stdin.close()
        except BrokenPipeError:
            return

    def outcome(self) -> WorkerOutcome:
        """What it left; its output is closed.

        Raises:
            AttemptFailed: it could not start the load, or it broke (FOLLOWER_ERROR, with its log).
        """
        returncode = self._process.wait(timeout=_END_TIMEOUT_S)
        outcome = fetch(self._folder)
        if returncode != 0 or outcome is None:
            raise self.failure(f"ended with {_how(returncode)}")
        if isinstance(outcome, SendFailure):
            raise AttemptFailed(outcome.cause, outcome.detail)
        return outcome

    def failure(self, what: str) -> AttemptFailed:
        """Our own fault, with the end of its log."""
        tail = self._log.read_bytes()[-LOG_TAIL_BYTES:].decode(errors="replace")
        return AttemptFailed(Cause.FOLLOWER_ERROR, f"{self.name} {what}", log_tail=tail)

    def kill(self) -> None:
        """Ends it, if it has not ended; its rows stay readable."""
        self._process.kill()

    def close(self) -> None:
        """After ``kill``: waits for the end and lets go of its pipes and its table."""
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        os.close(self._table_file)


def _argv(core: str, job: Path) -> list[str]:
    prepare = [sys.executable, "-I", "-S", pinned.__file__, str(os.getpid()), core, "0"]
    return [*prepare, sys.executable, "-P", "-m", "follower.load.sender", str(job)]


def _how(returncode: int) -> str:
    return f"signal {-returncode}" if returncode < 0 else f"exit code {returncode}"
