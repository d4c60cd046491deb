"""Converters as real processes, and a leader whose queue they work for."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil
from support.api_client import LeaderProcess
from support.descendants import children_running

from cli.client import Client
from cli.connection import Connection
from cli.uploads import import_packaged_models
from leader.auth.roles import Role


def wait_for(what: Callable[[], Any], timeout_s: float = 90) -> Any:
    """The first true answer."""
    deadline = time.monotonic() + timeout_s
    while not (found := what()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)
    return found


@contextmanager
def converter(
    leader_url: str, token_file: Path, folder: Path, name: str, slots: Path
) -> Iterator[subprocess.Popen[bytes]]:
    """``python -m follower.convert.worker``; killed at the end of the block, where it has not ended."""
    folder.mkdir(exist_ok=True)
    environment = {
        **os.environ,  # noqa: TID251 - hands PATH on
        "INFERBENCH_LEADER_URL": leader_url,
        "INFERBENCH_TOKEN_FILE": str(token_file),
        "INFERBENCH_FOLLOWER_NAME": name,
        "INFERBENCH_WORK_DIR": str(folder),
        "INFERBENCH_SLOT_LOCK_DIR": str(slots),
    }
    with (folder / "converter.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "follower.convert.worker"], env=environment, stdout=log, stderr=log
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait(timeout=10)


def import_model(leader: LeaderProcess, name: str) -> None:
    """A packaged model, registered."""
    token = (leader.token_dir / f"{Role.ADMIN}.token").read_text().strip()
    with Client(Connection(url=leader.url, token=token)) as client:
        import_packaged_models(client, name)


def ask(client: httpx.Client, name: str, to: str, **changes: Any) -> str:
    """The id of a new conversion."""
    answer = client.post("/api/v1/conversions", json={"model": {"name": name}, "to": to, **changes})
    assert answer.status_code == httpx.codes.ACCEPTED, answer.text
    assert answer.headers["location"] == answer.json()["links"]["self"]
    return str(answer.json()["id"])


def look(client: httpx.Client, conversion: str) -> dict[str, Any]:
    """It as it stands."""
    answer = client.get(f"/api/v1/conversions/{conversion}")
    assert answer.is_success, answer.text
    return dict(answer.json())


def wait_for_state(client: httpx.Client, conversion: str, *states: str, timeout_s: float = 120) -> dict[str, Any]:
    """It, once it is in one of these states."""
    deadline = time.monotonic() + timeout_s
    while True:
        view = look(client, conversion)
        if view["state"] in states:
            return view
        assert time.monotonic() < deadline, view
        time.sleep(0.05)


def converting_child(process: subprocess.Popen[bytes]) -> psutil.Process | None:
    """The converter's child, once it converts."""
    return next(iter(children_running(psutil.Process(process.pid), "follower.convert")), None)
