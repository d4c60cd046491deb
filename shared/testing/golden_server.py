"""Starts golden servers as processes of their own, and asks them over a side channel what they really did."""

import json
import select
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import Final, Literal, NamedTuple

from shared.testing.behaviour import Behaviour
from shared.testing.journal import Done, read_journal

_START_S: Final = 20.0


class GoldenServer(NamedTuple):
    """A running server."""

    host: str
    port: int
    protocol: Literal["http", "grpc"]
    process: subprocess.Popen[str]

    def journal(self) -> list[Done]:
        """What it did so far, in the order of receiving; over its pipes, so that its port sees no request of ours."""
        assert self.process.stdin is not None  # noqa: S101 - a pipe was asked for
        self.process.stdin.write("journal\n")
        self.process.stdin.flush()
        return read_journal(_line(self.process))

    def signal(self, number: signal.Signals) -> None:
        """Stops, continues or kills it."""
        self.process.send_signal(number)


@contextmanager
def golden_server(
    behaviour: Behaviour | None = None,
    *,
    protocol: Literal["http", "grpc"] = "http",
    cores: Sequence[int] = (),
) -> Iterator[GoldenServer]:
    """A server process of this behaviour, on these cores (all, where none is given), killed at the end."""
    settings = json.dumps(asdict(behaviour or Behaviour()))
    module = f"shared.testing.{protocol}_server"
    command = [sys.executable, "-P", "-m", module, settings, ",".join(map(str, cores))]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield GoldenServer("127.0.0.1", int(_line(process)), protocol, process)
        finally:
            process.kill()


def _line(process: subprocess.Popen[str]) -> str:
    """The next line of its output.

    Raises:
        TimeoutError: it says nothing.
    """
    assert process.stdout is not None  # noqa: S101 - a pipe was asked for
    if not select.select([process.stdout], [], [], _START_S)[0]:
        raise TimeoutError(f"the golden server says nothing for {_START_S:g} s")
    return process.stdout.readline()
