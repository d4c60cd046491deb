"""How long a claim takes while ten thousand runs of twenty teams wait."""

import http.client
import itertools
import json
import tempfile
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from pathlib import Path
from urllib.parse import urlsplit

from support.api_client import LeaderProcess, follower_registration, leader_process
from support.mongo_servers import running_mongo

from benchmarks.figure import Figure, percentile
from leader.auth.roles import Role
from shared.wire.identity import Slot

QUEUED = 10_000
TEAMS = 20
FOLLOWERS = 50
SLOTS = 8
CLIENTS = 4
TARGET_MS = 200
JOB = """
apiVersion: inferbench/v1
kind: Job
name: claim-latency
team: team-{team}
model: {{generate: {{family: fc, layers: 1, width: 16}}}}
workload: {{pattern: constant, rate: 1, warmup: 0s, duration: {seconds}s}}
repeats: 100
"""


def claim_latency() -> Iterable[Figure]:
    """p50 and p99 of POST claim at 4 concurrent clients, 400 slots of 50 followers that claim once each.

    Real HTTP, the embedded store, the default policy; the queue falls from 10,400 to 10,000 runs meanwhile. Client,
    leader and store share the cores.
    """
    with (
        tempfile.TemporaryDirectory() as folder,
        running_mongo("nx") as mongo,
        leader_process(mongo.fresh_url(), Path(folder)) as leader,
    ):
        yield from _claims(leader)


def _claims(leader: LeaderProcess) -> Iterable[Figure]:
    names = [f"f{number}" for number in range(FOLLOWERS)]
    register(leader, names)
    fill(leader, QUEUED + FOLLOWERS * SLOTS)
    slots = [(name, f"cpu-{slot}") for slot, name in itertools.product(range(SLOTS), names)]
    with ThreadPoolExecutor(CLIENTS) as clients:
        batches = clients.map(lambda part: _claim(leader, part), [slots[n::CLIENTS] for n in range(CLIENTS)])
        latencies_ms = [ms for batch in batches for ms in batch]
    yield Figure(
        name=f"claim p99, {QUEUED:,} queued",
        measured=percentile(latencies_ms, 0.99),
        unit="ms",
        high=TARGET_MS,
        detail=f"p50 {percentile(latencies_ms, 0.5):.1f} ms, max {max(latencies_ms):.1f} ms, n {len(latencies_ms)}",
    )


def register(leader: LeaderProcess, names: Sequence[str]) -> None:
    """Followers of ``SLOTS`` CPU slots each."""
    slots = tuple(Slot(name=f"cpu-{n}", device="cpu", server_cores=(n,), client_cores=()) for n in range(SLOTS))
    with leader.client() as client:
        for name in names:
            registration = follower_registration(name).model_copy(update={"slots": slots})
            client.post("/api/v1/followers", json=registration.model_dump(mode="json")).raise_for_status()


def fill(leader: LeaderProcess, runs: int) -> None:
    """Jobs of 100 runs of twenty teams in turn, of lengths from 5 s to 10 min."""
    with leader.client() as client:
        for number in range(runs // 100):
            job = JOB.format(team=number % TEAMS, seconds=5 + 595 * (number * 37 % 100) // 100)
            answer = client.post("/api/v1/jobs", content=job, headers={"Content-Type": "application/yaml"})
            answer.raise_for_status()


def _claim(leader: LeaderProcess, slots: Sequence[tuple[str, str]]) -> list[float]:
    headers = {**leader.headers(Role.ADMIN), "Content-Type": "application/json"}
    address = urlsplit(leader.url)
    connection = http.client.HTTPConnection(str(address.hostname), address.port, timeout=60)
    latencies_ms = []
    for follower, slot in slots:
        body = json.dumps({"incarnation": "i-1", "slot": slot})
        began_ns = time.perf_counter_ns()
        connection.request("POST", f"/api/v1/followers/{follower}/claim", body, headers)
        answer = connection.getresponse()
        text = answer.read()
        latencies_ms.append((time.perf_counter_ns() - began_ns) / 1e6)
        if answer.status != HTTPStatus.OK:
            raise RuntimeError(f"a claim was answered {answer.status}: {text!r}")
    connection.close()
    return latencies_ms
