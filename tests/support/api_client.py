"""The real leader for tests: in this process behind ASGI, or as its own process on loopback."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI

from leader.api.context import Leader
from leader.app import create_app
from leader.auth.roles import Role
from leader.auth.tokens import hash_token, mint
from leader.perfdb.entities import Token
from leader.settings import LeaderSettings
from shared.wire.identity import Capabilities, Inventory, PlatformOffer, Registration, Slot

ROOT = Path(__file__).parents[2]
BASE_URL = "http://127.0.0.1"

TINY_JOB = """\
apiVersion: inferbench/v1
kind: Job
name: tiny
team: vision
model: {generate: {family: fc, layers: 1, width: 8}}
workload: {pattern: poisson, rate: 50, warmup: 0s, duration: 1s}
"""

YAML = {"Content-Type": "application/yaml"}


@dataclass(frozen=True)
class Api:
    """A running application, with a token for each role."""

    app: FastAPI
    tokens: dict[Role, str]

    @property
    def leader(self) -> Leader:
        leader: Leader = self.app.state.leader
        return leader

    def client(self, role: Role | None = Role.ADMIN, **headers: str) -> httpx.AsyncClient:
        """A client with the token of ``role`` (None: anonymous)."""
        authorization = {"Authorization": f"Bearer {self.tokens[role]}"} if role else {}
        return httpx.AsyncClient(
            transport=httpx.ASGITransport(self.app), base_url=BASE_URL, headers={**authorization, **headers}, timeout=60
        )

    async def submit(self, text: str = TINY_JOB, **headers: str) -> httpx.Response:
        """Submit a job file as the submitter."""
        async with self.client(Role.SUBMITTER) as client:
            return await client.post("/api/v1/jobs", content=text.encode(), headers={**YAML, **headers})

    async def register_follower(self, name: str = "f1") -> Registration:
        """Announce a follower that can run TINY_JOB."""
        registration = follower_registration(name)
        async with self.client(Role.FOLLOWER) as client:
            answer = await client.post("/api/v1/followers", json=registration.model_dump(mode="json"))
        assert answer.status_code == httpx.codes.OK, answer.text
        return registration


def follower_registration(name: str = "f1", incarnation: str = "i-1") -> Registration:
    """A follower with one CPU slot, ONNX Runtime and the built-in data."""
    return Registration(
        name=name,
        incarnation=incarnation,
        version="0.1.0",
        inventory=Inventory(
            hostname=name, cpu_model="test", logical_cores=2, physical_cores=1, memory_bytes=2**30, kernel="6", os="x",
            governor=None,
        ),
        capabilities=Capabilities(
            platforms=(PlatformOffer(platform="onnxruntime", version="1", launch=("process",), protocol=("http",),
                                     device=("cpu",)),),
            patterns=("closed", "constant", "poisson"),
            networks=("none",),
            pipeline_sides=("client",),
            ops=(),
            model_families=("fc",),
            datasets=("synthetic", "images-small"),
        ),
        slots=(Slot(name="cpu-0", device="cpu", server_cores=(0,), client_cores=(1,)),),
    )  # fmt: skip


@contextlib.asynccontextmanager
async def running_api(mongo_url: str, token_dir: Path, **settings: Any) -> AsyncIterator[Api]:
    """The whole application on this database, started and stopped as in production."""
    app = create_app(LeaderSettings(mongo_url=mongo_url, token_dir=token_dir, **settings))
    async with app.router.lifespan_context(app):
        tokens = {role: mint(role) for role in Role}
        store = app.state.leader.desk.perfdb.tokens
        for role, token in tokens.items():
            await store.add(Token(sha256=hash_token(token), name=f"a-{role}", role=role, created_at=datetime.now(UTC)))
        yield Api(app, tokens)


@dataclass(frozen=True)
class LeaderProcess:
    """``python -m leader`` on loopback."""

    url: str
    process: subprocess.Popen[bytes]
    token_dir: Path
    log: Path

    def headers(self, role: Role = Role.ADMIN) -> dict[str, str]:
        """The Authorization header of a bootstrap token."""
        return {"Authorization": f"Bearer {(self.token_dir / f'{role}.token').read_text().strip()}"}

    def client(self, role: Role = Role.ADMIN) -> httpx.Client:
        """A client over real HTTP."""
        return httpx.Client(base_url=self.url, headers=self.headers(role), timeout=30)


def leader_environment(mongo_url: str, token_dir: Path | None, **settings: str) -> dict[str, str]:
    """The environment of a leader, with nothing of this process's own settings."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("INFERBENCH_")}  # noqa: TID251 - handed on, not read
    own = {"INFERBENCH_MONGO_URL": mongo_url, "INFERBENCH_PORT": "0"}
    if token_dir is not None:
        own["INFERBENCH_TOKEN_DIR"] = str(token_dir)
    return kept | own | {f"INFERBENCH_{name}": value for name, value in settings.items()}


def run_leader_to_its_end(environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """A leader that is expected to refuse to start."""
    return subprocess.run(
        [sys.executable, "-m", "leader"],
        cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


@contextlib.contextmanager
def leader_process(mongo_url: str, directory: Path, **settings: str) -> Iterator[LeaderProcess]:
    """A leader that listens on a free port; ended by SIGTERM unless it has ended already."""
    token_dir, log = directory / "tokens", directory / "leader.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "leader"],
            cwd=ROOT, env=leader_environment(mongo_url, token_dir, **settings), stdout=output, stderr=output,
        )  # fmt: skip
    try:
        yield LeaderProcess(_listening_url(process, log), process, token_dir, log)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.wait(timeout=30)


def events_of(log: Path) -> list[dict[str, Any]]:
    """The log's complete lines; every one of them must be JSON."""
    return [json.loads(line) for line in log.read_text().splitlines(keepends=True) if line.endswith("\n")]


def _listening_url(process: subprocess.Popen[bytes], log: Path, *, within_s: float = 60) -> str:
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline and process.poll() is None:
        for event in events_of(log):
            if event["event"] == "leader.listening":
                return str(event["url"])
        time.sleep(0.05)
    raise AssertionError(f"the leader did not start: {log.read_text()}")
