"""Real servers of MongoDB's protocol for tests: own processes on loopback, own folders, gone with the test session.

As a pytest plugin (named in tests/conftest.py) it gives the fixtures ``nx_server`` and ``mongo_url``.
"""

import asyncio
import ctypes
import gc
import os
import secrets
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import bson
import pytest

BIN = Path(sys.executable).parent
READY_WITHIN_S = 60.0
_OP_MSG = 2013  # MongoDB wire protocol
_HEADER_BYTES = 16
_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_LIBC = ctypes.CDLL(None)


def external_mongo_url() -> str | None:
    """A real MongoDB that the developer offers, if any."""
    return os.environ.get("INFERBENCH_TEST_MONGO_URL")  # noqa: TID251 - the one reader


def server_names() -> list[str]:
    """Servers that every store test runs against."""
    return ["nx", "secantus", *(["external"] if external_mongo_url() else [])]


def free_port() -> int:
    """A loopback port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def answers(url: str) -> bool:
    """Whether the server at ``url`` answers a ping. By hand: a driver that asks too early leaks its sockets."""
    address = urlsplit(url)
    body = b"\0\0\0\0\0" + bson.encode({"ping": 1, "$db": "admin"})  # flags, section kind, section
    question = struct.pack("<4i", _HEADER_BYTES + len(body), 1, 0, _OP_MSG) + body
    try:
        with socket.create_connection((address.hostname or "127.0.0.1", address.port or 27017), timeout=2) as link:
            link.sendall(question)
            return len(link.recv(_HEADER_BYTES)) == _HEADER_BYTES
    except OSError:
        return False


async def talk_to_a_dead_server(talk: Callable[[], Awaitable[None]]) -> None:
    """Run ``talk``, which opens and closes a client whose server is dead, and bear what the driver does then.

    pymongo 4.20 forgets the socket of the connection attempt that closing cancels; it is found when ``talk`` is over.
    """
    gc.collect()  # what others leaked is still an error
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        await talk()
        await asyncio.sleep(0.1)  # the cancelled attempt ends in one of the loop's next rounds
        gc.collect()


def die_with_parent() -> None:
    """Run in a forked child: it gets SIGKILL when this process ends, however it ends."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def start_child(argv: Sequence[str], *, folder: Path) -> subprocess.Popen[bytes]:
    """Start a server whose output goes to a file in ``folder`` and that cannot outlive this process."""
    with (folder / "output.log").open("ab") as output:
        return subprocess.Popen(
            argv,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            preexec_fn=die_with_parent,  # noqa: PLW1509 - one prctl call, no locks taken
        )


def stop_child(process: subprocess.Popen[bytes]) -> None:
    """Ask, wait, then kill."""
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@dataclass
class MongoServer:
    """A server that can be killed and started again on the same port and data."""

    name: str
    url: str
    folder: Path
    argv: tuple[str, ...] = ()
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def start(self) -> None:
        """Start it and wait until it answers."""
        self.process = start_child(self.argv, folder=self.folder)
        self._wait_until_ready()

    def kill(self) -> None:
        """SIGKILL, as a power cut would."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        """End it, if it is ours."""
        if self.process is not None:
            stop_child(self.process)

    def fresh_url(self) -> str:
        """The URL of a database that does not exist yet."""
        base, mark, options = self.url.partition("?")
        return f"{base.rstrip('/')}/test_{secrets.token_hex(6)}{mark}{options}"

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + READY_WITHIN_S
        while not answers(self.url):
            assert self.process is None or self.process.poll() is None, self._log()
            assert time.monotonic() < deadline, self._log()
            time.sleep(0.05)

    def _log(self) -> str:
        return f"{self.name} is not ready; it said: " + (self.folder / "output.log").read_text(errors="replace")[-2000:]


def _nx(port: int, folder: Path) -> tuple[str, ...]:
    files = ("--log-file", str(folder / "nx.log"), "--pid-file", str(folder / "nx.pid"))
    return (str(BIN / "nx-27017"), "--data-dir", str(folder / "data"), "--host", "127.0.0.1", "-p", str(port), *files)


def _secantus(port: int, folder: Path) -> tuple[str, ...]:
    where = ("--host", "127.0.0.1", "--port", str(port), "--storage-path", str(folder / "data"))
    return (str(BIN / "secantusd-py"), *where, "--log-level", "WARNING")


_COMMANDS: dict[str, Callable[[int, Path], tuple[str, ...]]] = {"nx": _nx, "secantus": _secantus}


@contextmanager
def running_mongo(name: str) -> Iterator[MongoServer]:
    """The named server, running, with an empty folder of its own."""
    external = external_mongo_url() if name == "external" else None
    with tempfile.TemporaryDirectory(prefix=f"inferbench-{name}-", ignore_cleanup_errors=True) as path:
        folder = Path(path)
        if external:
            yield MongoServer(name, external, folder)
            return
        port = free_port()
        server = MongoServer(name, f"mongodb://127.0.0.1:{port}", folder, _COMMANDS[name](port, folder))
        try:
            server.start()
            yield server
        finally:
            server.stop()


@pytest.fixture(scope="session")
def nx_server() -> Iterator[MongoServer]:
    """The embedded default, one for the session; do not kill this one."""
    with running_mongo("nx") as server:
        yield server


@pytest.fixture
def mongo_url(nx_server: MongoServer) -> str:
    """A fresh database on the embedded default."""
    return nx_server.fresh_url()
