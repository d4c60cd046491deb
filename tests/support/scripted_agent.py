"""A real agent whose attempts are scripted: in a thread of the test, or in a process that can be killed."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import SecretStr
from support.assignments import registration
from support.fake_leader import TOKEN

from follower.agent.leader import LeaderClient
from follower.agent.loop import Agent
from follower.settings import FollowerSettings

SUPPORT = Path(__file__).parent
ATTEMPT = (sys.executable, str(SUPPORT / "scripted_attempt.py"))


def make_agent(url: str, work_dir: Path, *, incarnation: str = "incarnation-1", token: str = TOKEN) -> Agent:
    """An agent of follower-1 that starts scripted attempts."""
    settings = FollowerSettings(leader_url=url, work_dir=work_dir, follower_name="follower-1")
    client = LeaderClient(url, SecretStr(token), "follower-1")
    return Agent(settings, registration(incarnation=incarnation), client, attempt_command=ATTEMPT, seed=1)


@contextmanager
def agent_in_thread(url: str, work_dir: Path) -> Iterator[Agent]:
    """The agent works until the block ends."""
    agent = make_agent(url, work_dir)
    thread = threading.Thread(target=agent.run)
    thread.start()
    try:
        yield agent
    finally:
        agent.stop()
        agent.stop()
        thread.join(20)
        assert not thread.is_alive()


@contextmanager
def agent_process(url: str, work_dir: Path, incarnation: str = "incarnation-1") -> Iterator[subprocess.Popen[bytes]]:
    """The same as a process of its own, for tests that kill it."""
    process = subprocess.Popen(
        [sys.executable, __file__, url, str(work_dir), incarnation],
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(SUPPORT.parent)},
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def wait_until_gone(pids: tuple[int, ...], timeout_s: float = 10.0) -> None:
    """Each process has ended (a zombie that nobody has collected yet counts as ended)."""
    deadline = time.monotonic() + timeout_s
    while any(map(is_running, pids)):
        assert time.monotonic() < deadline, f"still running: {[pid for pid in pids if is_running(pid)]}"
        time.sleep(0.02)


def is_running(pid: int) -> bool:
    """Whether the process exists and is not a zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"


def main() -> None:
    """The process of ``agent_process``."""
    url, work_dir, incarnation = sys.argv[1:]
    agent = make_agent(url, Path(work_dir), incarnation=incarnation)
    signal.signal(signal.SIGTERM, lambda _signal, _frame: agent.stop())
    agent.run()
    os._exit(0)


if __name__ == "__main__":
    main()
