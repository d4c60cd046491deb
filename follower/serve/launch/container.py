"""Launcher ``docker``: the command in a container of this machine's engine, confined as ``confinement`` says.

The kernel does not end a container with whoever started it. So the container's standard input is a socket that this
process holds: when it is gone, however it went, the engine closes the input and the command is killed. What is left
of the container then does nothing, and the next agent removes it.
"""

import os
import select
import socket
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import psutil

from follower.serve.containers.confinement import User, as_facts, container_settings, host_settings, user_for
from follower.serve.containers.engine import SOCKET, Engine, Image, State, output_of
from follower.serve.containers.network import NETWORK, close_host
from follower.serve.launch.log import CappedLog
from follower.serve.launch.protocol import STOP_GRACE_S, Exit, LaunchRequest
from shared.errors import AttemptFailed, InvalidInput, NotAvailable
from shared.jobs.lifecycle import Cause

ALL_ADDRESSES: Final = "0.0.0.0"  # inside the container; of its addresses this machine alone reaches one
NOTICE_S: Final = 5.0
"""More than the engine takes to notice that a container's first process has ended."""
_POLL_S: Final = 0.01
_READABLE: Final = 0o444
_ENTERABLE: Final = 0o111


class DockerLauncher:
    """Starts commands in containers of images that the engine has."""

    name = "docker"
    listen_host = ALL_ADDRESSES

    def __init__(self, path: Path = SOCKET) -> None:
        self._path = path

    def is_available(self) -> bool:
        try:
            Engine.connect(self._path).close()
        except NotAvailable:
            return False
        return True

    def require(self, image: str | None) -> None:
        engine = Engine.connect(self._path)
        try:
            engine.image(_named(image))
        finally:
            engine.close()

    def start(self, request: LaunchRequest) -> "LaunchedContainer":
        """Returns once the engine has started the command.

        Raises:
            NotAvailable: no engine answers, or it does not have the image.
            AttemptFailed: FOLLOWER_ERROR with the engine's words, where it refuses: cores that are not there, say.
        """
        user = user_for(os.geteuid(), os.getegid())
        _hand_over(request, user)
        engine = Engine.connect(self._path)
        image = engine.image(_named(request.image))
        memory_bytes = psutil.virtual_memory().total
        network = engine.prepare_network()
        host_closed = close_host()
        limits = host_settings(request, memory_bytes=memory_bytes, network=network)
        container = engine.create(image, container_settings(request, user), limits)
        try:
            attached = engine.attach(container)
            engine.start(container)
            state = engine.state(container)
        except BaseException:
            engine.remove(container)
            raise
        facts = _facts(engine, image, host_closed=host_closed) | dict(as_facts(request, user, memory_bytes))
        return LaunchedContainer(_Running(engine, container, state), attached, request.log_path, facts)


@dataclass(frozen=True)
class _Running:
    """A container that has been started."""

    engine: Engine
    container: str
    started: State


class LaunchedContainer:
    """A command in a container of its own."""

    def __init__(self, running: _Running, attached: socket.socket, log_path: Path, facts: Mapping[str, Any]) -> None:
        self._engine, self._container, self._started = running.engine, running.container, running.started
        self._attached = attached
        self._log_path = log_path
        self._facts = facts
        self._handle = _handle_of(running.started.pid)
        self._lock = threading.RLock()
        self._exit: Exit | None = None
        self._removed = False
        log = CappedLog(log_path)
        self._reader = threading.Thread(target=_copy, args=(attached, log), name="container-log", daemon=True)
        self._reader.start()

    @property
    def log_path(self) -> Path:
        return self._log_path

    @property
    def address(self) -> str:
        return self._started.address

    def facts(self) -> Mapping[str, Any]:
        return dict(self._facts)

    def pids(self) -> tuple[int, ...]:
        """The host's numbers of the container's processes, its first one first."""
        if self._has_ended():
            return ()
        try:
            first = psutil.Process(self._started.pid)
            return tuple(process.pid for process in [first, *first.children(recursive=True)] if _is_alive(process))
        except psutil.NoSuchProcess:
            return ()

    def poll(self) -> Exit | None:
        """Asks the engine only once the first process has ended, so it costs a microsecond until then."""
        with self._lock:
            if self._exit is None and self._has_ended():
                self._exit = self._await_exit()
            return self._exit

    def stop(self) -> None:
        """SIGTERM, a grace, SIGKILL; then nothing is left of the container."""
        with self._lock:
            if self._removed:
                return
            try:
                self._engine.stop(self._container, STOP_GRACE_S)
                self._exit = self._exit or self._await_exit()
            finally:
                self._detach()
                self._engine.remove(self._container)
                self._removed = True
                self._let_go()

    def _has_ended(self) -> bool:
        if self._exit is not None:
            return True
        if self._handle is None:  # its processes cannot be seen from here
            return not self._reader.is_alive()
        return bool(select.select([self._handle], [], [], 0)[0])

    def _await_exit(self) -> Exit:
        """What the engine found out, once its log has been read to the end."""
        self._reader.join(NOTICE_S)
        deadline = time.monotonic() + NOTICE_S
        while (state := self._engine.state(self._container)).running:
            if time.monotonic() >= deadline:
                raise AttemptFailed(Cause.FOLLOWER_ERROR, "the container engine does not notice that its process ended")
            time.sleep(_POLL_S)
        return Exit(returncode=state.exit_code, oom_kills=int(state.oom_killed))

    def _detach(self) -> None:
        """Ends the container's standard input, and so the command, whatever else went wrong."""
        with suppress(OSError):
            self._attached.shutdown(socket.SHUT_RDWR)
        self._attached.close()

    def _let_go(self) -> None:
        self._engine.close()
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None


def _named(image: str | None) -> str:
    if image is None:
        raise InvalidInput("a container needs an image, and the platform has none: name one in INFERBENCH_IMAGES")
    return image


def _facts(engine: Engine, image: Image, *, host_closed: bool) -> dict[str, Any]:
    return {
        "launcher": DockerLauncher.name,
        "engine": f"docker {engine.version}",
        "image": image.name,
        "image_id": image.id,
        "image_digest": image.digest,
        "network": f"{NETWORK}: internal" + ("" if host_closed else ", with a way to services of this host"),
    }


def _hand_over(request: LaunchRequest, user: User) -> None:
    """The container's user may write to the work directory, and read what we made for it to read."""
    request.workdir.mkdir(parents=True, exist_ok=True)
    if user.uid != os.geteuid():
        os.chown(request.workdir, user.uid, user.gid)
        for path in request.reads:
            _make_readable([path, *path.rglob("*")] if path.is_dir() else [path])


def _make_readable(paths: Sequence[Path]) -> None:
    for path in paths:
        found = path.stat().st_mode
        wanted = found | _READABLE | (_ENTERABLE if path.is_dir() else 0)
        if wanted != found:
            path.chmod(wanted & 0o7777)


def _handle_of(pid: int) -> int | None:
    """By which the end of the container's first process is seen at once; None where the engine's host is not ours."""
    try:
        return os.pidfd_open(pid)
    except OSError:
        return None


def _copy(attached: socket.socket, log: CappedLog) -> None:
    try:
        for piece in output_of(attached):
            log.write(piece)
    except OSError:  # closed from our side
        return
    finally:
        log.close()


def _is_alive(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
