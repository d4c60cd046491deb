"""Launcher ``process``: the command as a session of its own on this machine."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import psutil

from follower.serve.launch import pinned
from follower.serve.launch.environment import minimal_environment
from follower.serve.launch.protocol import STOP_GRACE_S, Exit, LaunchRequest
from shared.errors import AttemptFailed
from shared.jobs.lifecycle import Cause

KILL_GRACE_S: Final = 5.0
LOOPBACK: Final = "127.0.0.1"
_POLL_S: Final = 0.01


class ProcessLauncher:
    """Starts commands through ``pinned``, which ties them to this process, their cores and their memory limit."""

    name = "process"
    listen_host = LOOPBACK

    def is_available(self) -> bool:
        return True

    def require(self, image: str | None) -> None:
        """Whatever an image holds, a process uses what this machine has."""

    def start(self, request: LaunchRequest) -> "LaunchedProcess":
        """Returns once the command has been spawned."""
        request.workdir.mkdir(parents=True, exist_ok=True)
        oom_kills = kernel_oom_kills()
        with request.log_path.open("ab") as log:
            process = subprocess.Popen(
                _pinned_argv(request),
                cwd=request.workdir,
                env=minimal_environment(request),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        return LaunchedProcess(process, request.log_path, oom_kills_before=oom_kills)


class LaunchedProcess:
    """A command that leads its own session and process group."""

    def __init__(self, process: subprocess.Popen[bytes], log_path: Path, *, oom_kills_before: int) -> None:
        self._process = process
        self._log_path = log_path
        self._oom_kills_before = oom_kills_before
        self._lock = threading.Lock()
        self._exit: Exit | None = None

    @property
    def log_path(self) -> Path:
        return self._log_path

    @property
    def address(self) -> str:
        return LOOPBACK

    def facts(self) -> Mapping[str, Any]:
        return {"launcher": ProcessLauncher.name}

    def pids(self) -> tuple[int, ...]:
        """The command, until its last thread has ended and its exit can be asked for, and its live descendants."""
        own = self._process.pid
        return tuple(process.pid for process in self._tree() if process.pid == own or _is_alive(process))

    def poll(self) -> Exit | None:
        """How it ended; by then its group has been killed, so nothing of it outlives it."""
        with self._lock:
            if self._exit is None and self._has_ended():
                self._exit = self._bury()
            return self._exit

    def stop(self) -> None:
        """SIGTERM, a grace, SIGKILL for the tree."""
        tree = self._tree()
        self._signal(signal.SIGTERM)
        if not self._await_end(STOP_GRACE_S):
            self._signal(signal.SIGKILL)
            if not self._await_end(KILL_GRACE_S):
                raise AttemptFailed(Cause.FOLLOWER_ERROR, f"process {self._process.pid} outlives SIGKILL")
        _kill(tree)
        _await_gone(tree)

    def _tree(self) -> Sequence[psutil.Process]:
        if self.poll() is not None:
            return ()
        try:
            root = psutil.Process(self._process.pid)
            return [root, *root.children(recursive=True)]
        except psutil.NoSuchProcess:
            return ()

    def _signal(self, number: signal.Signals) -> None:
        with self._lock:
            if self._exit is None:  # not reaped, so the number still means this process
                os.kill(self._process.pid, number)

    def _await_end(self, timeout_s: float) -> bool:
        deadline = time.monotonic() + timeout_s
        while self.poll() is None:
            if time.monotonic() >= deadline:
                return False
            time.sleep(_POLL_S)
        return True

    def _has_ended(self) -> bool:
        return os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def _bury(self) -> Exit:
        """Kills what is left of the group, then reaps; in this order, or the group's number may be a stranger's."""
        os.killpg(self._process.pid, signal.SIGKILL)
        returncode = self._process.wait()
        return Exit(returncode=returncode, oom_kills=kernel_oom_kills() - self._oom_kills_before)


def _pinned_argv(request: LaunchRequest) -> list[str]:
    cores = ",".join(str(core) for core in request.cores)
    prepare = [sys.executable, "-I", "-S", pinned.__file__, str(os.getpid()), cores, str(request.memory_bytes or 0)]
    return [*prepare, *request.argv]


def _is_alive(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _kill(processes: Sequence[psutil.Process]) -> None:
    """Ends what left the group. psutil compares start times, so a number that was given anew is not hit."""
    for process in processes:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue


def _await_gone(processes: Sequence[psutil.Process]) -> None:
    """Returns once none of these runs: the end of a killed process takes a moment, and the more memory the longer."""
    deadline = time.monotonic() + KILL_GRACE_S
    while any(map(_is_alive, processes)) and time.monotonic() < deadline:
        time.sleep(_POLL_S)


def kernel_oom_kills(vmstat: Path = Path("/proc/vmstat")) -> int:
    """How many processes this kernel has killed for memory since boot; 0 where it does not count."""
    try:
        lines = vmstat.read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), 0)
