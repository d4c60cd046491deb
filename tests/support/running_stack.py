"""The embedded stack as a user starts it, for end-to-end tests: real processes, real HTTP."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from shared.jobs import lifecycle

ROOT = Path(__file__).parents[2]
INFERBENCH = str(Path(sys.executable).parent / "inferbench")
TERMINAL = {state.value for state in lifecycle.TERMINAL}
MEASURED = {state.value for state in lifecycle.MEASURED}
"""Others use the test machine too: a run may have been disturbed, and then its record is invalid."""


@dataclass(frozen=True)
class RunningStack:
    """A stack that answers, and an authorised client for it."""

    url: str
    data_dir: Path
    client: httpx.Client
    supervisor: subprocess.Popen[bytes]

    @property
    def token_file(self) -> Path:
        return self.data_dir / "admin.token"

    def submit(self, job_yaml: str) -> dict[str, Any]:
        """Posts a job file and returns its view; the answer must be 201."""
        answer = self.client.post(
            "/api/v1/jobs", content=job_yaml.encode(), headers={"Content-Type": "application/yaml"}
        )
        assert answer.status_code == httpx.codes.CREATED, answer.text
        return dict(answer.json())

    def get(self, path: str) -> dict[str, Any]:
        answer = self.client.get(path)
        assert answer.is_success, answer.text
        return dict(answer.json())

    def wait_for_run(self, run_id: str, *states: str, timeout_s: float = 60) -> dict[str, Any]:
        """Polls until the run is in one of ``states`` (default: any terminal one)."""
        wanted = set(states) or TERMINAL
        deadline = time.monotonic() + timeout_s
        while True:
            run = self.get(f"/api/v1/runs/{run_id}")
            if run["state"] in wanted:
                return run
            assert time.monotonic() < deadline, f"{run_id} is still {run['state']}: {run}"
            assert run["state"] not in TERMINAL, run
            time.sleep(0.1)


@contextmanager
def running_stack(data_dir: Path, environment: Mapping[str, str]) -> Iterator[RunningStack]:
    """Starts ``inferbench up`` on a free port and stops it as Ctrl-C would."""
    with (data_dir.parent / "up.log").open("wb") as log:
        supervisor = subprocess.Popen(
            [INFERBENCH, "up", "--port", "0", "--data-dir", str(data_dir)],
            cwd=data_dir.parent,
            env=dict(environment),
            stdout=log,
            stderr=log,
        )
    try:
        url = _wait_for_url(data_dir, supervisor)
        token = (data_dir / "admin.token").read_text().strip()
        with httpx.Client(base_url=url, headers={"Authorization": f"Bearer {token}"}, timeout=30) as client:
            yield RunningStack(url, data_dir, client, supervisor)
    finally:
        supervisor.send_signal(signal.SIGINT)
        supervisor.wait(timeout=30)


@contextmanager
def second_follower(
    stack: RunningStack, name: str, work_dir: Path, **environment: str
) -> Iterator[subprocess.Popen[bytes]]:
    """Another follower of the stack's leader, as another machine would run it; alive when the block begins."""
    whole = {
        **os.environ,  # noqa: TID251 - hands PATH and HOME on
        "INFERBENCH_LEADER_URL": stack.url,
        "INFERBENCH_TOKEN_FILE": str(stack.data_dir / "follower.token"),
        "INFERBENCH_FOLLOWER_NAME": name,
        "INFERBENCH_WORK_DIR": str(work_dir),
        "INFERBENCH_SLOT_LOCK_DIR": str(work_dir.parent / "slots"),  # its cores are another machine's
        **environment,
    }
    said = work_dir.parent / f"{name}.log"
    with said.open("wb") as log:
        process = subprocess.Popen([sys.executable, "-m", "follower"], env=whole, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 60
        while name not in [follower["name"] for follower in stack.get("/api/v1/followers")["items"]]:
            assert process.poll() is None, said.read_text()
            assert time.monotonic() < deadline, said.read_text()
            time.sleep(0.1)
        yield process
    finally:
        process.kill()
        process.wait(timeout=10)


def _wait_for_url(data_dir: Path, supervisor: subprocess.Popen[bytes], timeout_s: float = 60) -> str:
    """The leader's address, once ``up`` has said that everything is there."""
    said = data_dir.parent / "up.log"
    deadline = time.monotonic() + timeout_s
    while "InferBench is up at" not in said.read_text():
        assert supervisor.poll() is None, said.read_text()
        assert time.monotonic() < deadline, said.read_text()
        time.sleep(0.1)
    return str(json.loads((data_dir / "stack.json").read_text())["url"])
