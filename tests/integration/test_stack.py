"""The supervisor with the real database and the real broker: nothing outlives it, and nothing fails silently."""

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from pymongo import MongoClient
from redis import Redis
from redis.exceptions import AuthenticationError
from support.supervised_stack import small_plan

from cli.errors import PortTaken
from cli.stack.ports import choose_ports
from cli.stack.readiness import BrokerAnswers, is_ready

SUPERVISOR = str(Path(__file__).parents[1] / "support" / "supervised_stack.py")
PROGRAM = [sys.executable, "-P", SUPERVISOR]  # -P: modules beside the script must not shadow installed packages
PATIENCE_S = 30.0


@contextmanager
def supervisor(data_dir: Path, kind: str = "") -> Iterator[subprocess.Popen[str]]:
    """A supervisor process whose stack is up."""
    process = subprocess.Popen(
        [*PROGRAM, str(data_dir), *([kind] if kind else [])],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def wait_until(condition: Callable[[], bool]) -> None:
    """Polls until ``condition`` holds."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def children(data_dir: Path) -> dict[str, int]:
    """Name -> pid, as stack.json has it."""
    return dict(json.loads((data_dir / "stack.json").read_text())["children"])


def is_gone(pid: int) -> bool:
    """Ended, whether or not somebody has reaped it yet."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def port_of(pid: int) -> int:
    """The port on which a process listens."""
    [port] = {c.laddr.port for c in psutil.Process(pid).net_connections("tcp") if c.status == psutil.CONN_LISTEN}
    return int(port)


def processes_below(folder: Path) -> set[int]:
    """Processes whose command line names the folder, the supervisor itself left out."""
    return {
        process.pid
        for process in psutil.process_iter(["cmdline", "status"])
        if str(folder) in " ".join(process.info["cmdline"] or ()) and SUPERVISOR not in process.info["cmdline"]
    }


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """A data folder that does not exist yet, with a space in its path."""
    return tmp_path / "my data"


def test_the_stack_is_up_when_it_says_so(data_dir: Path) -> None:
    """Database and broker do their work as soon as the stack counts as ready."""
    with supervisor(data_dir):
        pids = children(data_dir)
        with MongoClient[dict[str, int]](f"mongodb://127.0.0.1:{port_of(pids['database'])}") as mongo:
            mongo.trial.numbers.insert_one({"_id": 1})
            assert mongo.trial.numbers.find_one({}) == {"_id": 1}
        with Redis(port=port_of(pids["broker"]), password="secret") as redis:
            assert redis.set("key", "value")
        with Redis(port=port_of(pids["broker"])) as stranger, pytest.raises(AuthenticationError):
            stranger.ping()


def test_what_lies_in_the_data_folder_is_for_its_owner(data_dir: Path) -> None:
    """Tokens, password and addresses are closed to other users, and the password is on no command line."""
    with supervisor(data_dir):
        assert stat.S_IMODE(data_dir.stat().st_mode) == 0o700
        for path in (data_dir / "stack.json", data_dir / "broker" / "valkey.conf", data_dir / "logs" / "broker.log"):
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert "secret" not in " ".join(psutil.Process(children(data_dir)["broker"]).cmdline())


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_everything(data_dir: Path, signum: signal.Signals) -> None:
    """After Ctrl-C, a kill or a closed terminal no child is left and no file says that one is."""
    with supervisor(data_dir) as process:
        pids = children(data_dir)
        process.send_signal(signum)
        process.communicate(timeout=PATIENCE_S)
        assert all(is_gone(pid) for pid in pids.values())
        assert not (data_dir / "stack.json").exists()
        assert not (data_dir / "db.pid").exists()


def test_a_killed_supervisor_takes_its_children_along(data_dir: Path) -> None:
    """SIGKILL leaves no chance to clean up; the kernel ends the children, and the next stack starts unharmed."""
    with supervisor(data_dir) as process:
        pids = children(data_dir)
        process.kill()
        wait_until(lambda: all(is_gone(pid) for pid in pids.values()))
        assert (data_dir / "stack.json").exists()
    (data_dir / "db.pid").write_text(str(os.getpid()))  # as if the number had been given to somebody else since
    with supervisor(data_dir):
        assert not set(children(data_dir).values()) & set(pids.values())


def test_a_stopped_stack_keeps_its_data(data_dir: Path) -> None:
    """What was written before a stop is there after the next start."""
    for expected in (0, 1):
        with supervisor(data_dir) as process:
            with MongoClient[dict[str, int]](f"mongodb://127.0.0.1:{port_of(children(data_dir)['database'])}") as mongo:
                assert len(list(mongo.trial.numbers.find({}))) == expected
                mongo.trial.numbers.insert_one({"_id": expected})
            process.terminate()
            process.communicate(timeout=PATIENCE_S)


def test_a_second_stack_on_the_same_folder_is_refused(data_dir: Path) -> None:
    """It is told where the first one is, and the first one runs on."""
    with supervisor(data_dir) as first:
        second = subprocess.run([*PROGRAM, str(data_dir)], capture_output=True, text=True, check=False)
        assert second.returncode == 1
        assert "already running" in second.stderr
        assert f"pid {first.pid}" in second.stderr
        assert json.loads((data_dir / "stack.json").read_text())["url"] in second.stderr
        assert not any(is_gone(pid) for pid in children(data_dir).values())


def test_a_child_that_dies_ends_the_stack(data_dir: Path) -> None:
    """The message names the child, how it ended and what it said last; the others are stopped."""
    with supervisor(data_dir, "dies") as process:
        _, said = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 1
    assert "odd-one ended by itself with exit code 7" in said
    assert "I shall not stay long" in said
    assert processes_below(data_dir) == set()


def test_a_killed_child_ends_the_stack(data_dir: Path) -> None:
    """A database killed by the out-of-memory killer is reported as killed, not waited for."""
    with supervisor(data_dir) as process:
        os.kill(children(data_dir)["database"], signal.SIGKILL)
        _, said = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 1
    assert "database ended by itself with signal SIGKILL" in said


def test_a_child_that_ends_before_it_is_ready_is_not_waited_for(data_dir: Path) -> None:
    """The error comes at once, with the end of its log, and what was started before it is stopped."""
    ran = subprocess.run(
        [*PROGRAM, str(data_dir), "never-ready"],
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
    )
    assert ran.returncode == 1
    assert "odd-one ended with exit code 3 before it was ready" in ran.stderr
    assert "no such model" in ran.stderr
    assert processes_below(data_dir) == set()


def test_a_visitor_runs_beside_the_stack(data_dir: Path) -> None:
    """Its exit code comes back, and the stack is stopped after it."""
    with supervisor(data_dir, "visit") as process:
        output, _ = process.communicate(timeout=PATIENCE_S)
    assert output == "visiting\n"
    assert process.returncode == 5
    assert processes_below(data_dir) == set()


def test_a_taken_port_is_an_error_that_names_its_holder() -> None:
    """Who holds the port, and what to do about it, stands in the message."""
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        with pytest.raises(PortTaken, match=rf"port {port} .*\(pid {os.getpid()}\).*--port") as caught:
            choose_ports(port)
    assert caught.value.code == "port-taken"


def test_a_stranger_on_the_brokers_port_is_not_taken_for_the_broker(tmp_path: Path) -> None:
    """Readiness needs the password, so that a port won by another process in a race is noticed."""
    plan = small_plan(tmp_path)
    assert isinstance(plan.children[1].ready, BrokerAnswers)
    with socket.create_server(("127.0.0.1", plan.children[1].ready.port)):
        assert not is_ready(plan.children[1].ready)
