"""What is left of a service that was stopped is found: its processes, its port, and nothing of anybody else."""

import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from follower.attempt import remains
from follower.attempt.remains import Traces, alive
from follower.collect.proc import ProcessKey, read_tree
from follower.serve.protocol import Endpoint
from shared.errors import AttemptFailed
from shared.jobs.lifecycle import Cause


@pytest.fixture
def closed_port() -> int:
    """One that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@pytest.fixture
def process() -> Iterator[subprocess.Popen[bytes]]:
    """One that waits to be ended."""
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    yield child
    child.kill()
    child.communicate()


def key_of(pid: int) -> ProcessKey:
    """Its number and start time."""
    (key,) = read_tree(Path("/proc"), [pid])
    return key


def traces(port: int, *keys: ProcessKey) -> Traces:
    """Of a service with this port and these processes."""
    return Traces(frozenset(keys), Endpoint(host="127.0.0.1", port=port, model_name="m"))


def test_nothing_left_is_nothing_said(closed_port: int) -> None:
    """At once."""
    traces(closed_port, (2**22, 1)).await_gone()


def test_a_process_that_runs_on_is_named(
    closed_port: int, process: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next start would share the machine with it."""
    monkeypatch.setattr(remains, "PATIENCE_S", 0.05)
    with pytest.raises(AttemptFailed, match=f"its processes {process.pid} run on") as failure:
        traces(closed_port, key_of(process.pid)).await_gone()
    assert failure.value.cause is Cause.FOLLOWER_ERROR


def test_a_process_that_is_dead_and_not_yet_reaped_is_gone(process: subprocess.Popen[bytes]) -> None:
    """It holds nothing any more."""
    key = key_of(process.pid)
    assert alive([key]) == {key}
    process.kill()
    while Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z":
        pass
    assert alive([key]) == set()


def test_a_number_that_was_given_anew_is_somebody_else(process: subprocess.Popen[bytes]) -> None:
    """Told apart by the start time."""
    pid, started = key_of(process.pid)
    assert alive([(pid, started - 1)]) == set()


def test_an_open_port_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody still answers there."""
    monkeypatch.setattr(remains, "PATIENCE_S", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(AttemptFailed, match=f"its port {port} is still open"):
            traces(port).await_gone()
