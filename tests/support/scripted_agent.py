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
from typing import Any

from pydantic import SecretStr
from support.assignments import registration, slot
from support.fake_leader import TOKEN

from follower.agent.leader import LeaderClient
from follower.agent.loop import Agent
from follower.settings import FollowerSettings

SUPPORT = Path(__file__).parent
CORE = 0
ATTEMPT = (sys.executable, str(SUPPORT / "scripted_attempt.py"))


def make_agent(
    url: str,
    work_dir: Path,
    *,
    incarnation: str = "incarnation-1",
    token: str = TOKEN,
    attempt: tuple[str, ...] = ATTEMPT,
    **settings: Any,
) -> Agent:
    """An agent of follower-1 that starts scripted attempts. Its one slot serves on ``CORE``."""
    chosen = FollowerSettings(leader_url=url, work_dir=work_dir, follower_name="follower-1", **settings)
    client = LeaderClient(url, SecretStr(token), "follower-1")
    announced = registration(incarnation=incarnation).model_copy(update={"slots": (slot(server_cores=(CORE,)),)})
    return Agent(chosen, announced, client, attempt_command=attempt, seed=1)


def locks_of(work_dir: Path) -> Path:
    """Where an agent of ``agent_process`` has its locks."""
    return work_dir.with_name(work_dir.name + "-slots")


@contextmanager
def agent_in_thread(url: str, work_dir: Path, **options: Any) -> Iterator[Agent]:
    """The agent works until the block ends."""
    agent = make_agent(url, work_dir, **options)
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
    """The same as a process of its own, for tests that kill it. Its locks lie beside its directory."""
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
    agent = make_agent(url, Path(work_dir), incarnation=incarnation, slot_lock_dir=locks_of(Path(work_dir)))
    signal.signal(signal.SIGTERM, lambda _signal, _frame: agent.stop())
    agent.run()
    os._exit(0)


if __name__ == "__main__":
    main()
