"""Runs the null server for as long as it is needed."""

import json
import os
import pickle
import select
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from follower.calibrate.null_server import HOST
from follower.calibrate.replies import Script
from follower.serve.launch import pinned

_START_TIMEOUT_S: Final = 20.0
_SHOWN_CHARACTERS: Final = 300


class CalibrationFailed(Exception):
    """What the client can do is not known, and this is why. The run goes on without."""


@dataclass(frozen=True)
class NullServer:
    """A running one."""

    host: str
    port: int
    check: Callable[[], None]  # raises CalibrationFailed once it is gone


@contextmanager
def null_server(script: Script, cores: Sequence[int], folder: Path) -> Iterator[NullServer]:
    """A process of its own on ``cores`` (none: any). It dies with the calling thread, and at the end.

    Raises:
        CalibrationFailed: it did not start.
        OSError: nor could it be tried.
    """
    with tempfile.TemporaryDirectory(prefix="null-server-", dir=folder) as private:
        path, log_path = Path(private) / "script.pickle", Path(private) / "null-server.err"
        path.write_bytes(pickle.dumps(script))
        with log_path.open("wb") as log:
            process = subprocess.Popen(
                _argv(cores, path), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, start_new_session=True
            )
        try:
            yield _await_port(process, log_path)
        finally:
            process.kill()
            process.wait()
            if process.stdout:
                process.stdout.close()


def _await_port(process: subprocess.Popen[bytes], log_path: Path) -> NullServer:
    def check() -> None:
        if process.poll() is not None:
            said = log_path.read_text(errors="replace").strip()[-_SHOWN_CHARACTERS:]
            raise CalibrationFailed(f"the null server ended with {process.returncode}: {said or 'it said nothing'}")

    assert process.stdout is not None  # noqa: S101 - a pipe was asked for
    if not select.select([process.stdout], [], [], _START_TIMEOUT_S)[0]:
        raise CalibrationFailed(f"the null server did not start within {_START_TIMEOUT_S:g} s")
    line = process.stdout.readline()
    if not line:
        process.wait()
        check()
    return NullServer(HOST, int(json.loads(line)["port"]), check)


def _argv(cores: Sequence[int], script: Path) -> list[str]:
    prepare = [sys.executable, "-I", "-S", pinned.__file__, str(os.getpid()), ",".join(map(str, cores)), "0"]
    return [*prepare, sys.executable, "-P", "-m", "follower.calibrate.null_server", str(script)]
