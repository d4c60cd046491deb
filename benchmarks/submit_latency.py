"""How long a submit takes while twenty people press the button at once."""

import http.client
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

from support.running_stack import RunningStack

from benchmarks.figure import Figure, percentile
from benchmarks.stack import fresh_stack

CLIENTS = 20
SUBMITS_PER_CLIENT = 25
TARGET_MS = 200
JOB = b"""
apiVersion: inferbench/v1
kind: Job
name: submit-latency
model: {generate: {family: fc, layers: 1, width: 16}}
workload: {pattern: constant, rate: 1, warmup: 0s, duration: 1h}
"""


def submit_latency() -> Iterable[Figure]:
    """p50 and p99 of POST /jobs at 20 concurrent clients, one kept-alive connection each, while a run is measured.

    The follower is kept busy beforehand: on two cores, starting a server beside the submits would be most of the tail.
    """
    with fresh_stack() as stack:
        yield from _submits(stack)


def _submits(stack: RunningStack) -> Iterable[Figure]:
    busy = stack.submit(JOB.decode())
    _wait_until_measured(stack, f"{busy['id']}.0000")
    with ThreadPoolExecutor(CLIENTS) as clients:
        latencies_ms = [
            ms for batch in clients.map(lambda _: _submit_repeatedly(stack), range(CLIENTS)) for ms in batch
        ]
    yield Figure(
        name=f"submit p99, {CLIENTS} clients",
        measured=percentile(latencies_ms, 0.99),
        unit="ms",
        high=TARGET_MS,
        detail=f"p50 {percentile(latencies_ms, 0.5):.1f} ms, n {len(latencies_ms)}",
    )


def _wait_until_measured(stack: RunningStack, run_id: str) -> None:
    with stack.client.stream("GET", f"/api/v1/runs/{run_id}/events") as events:
        next(line for line in events.iter_lines() if line == "event: measuring")


def _submit_repeatedly(stack: RunningStack) -> list[float]:
    """One kept-alive connection of the standard library: the client shares the cores, so it has to be light."""
    headers = {"Authorization": stack.client.headers["Authorization"], "Content-Type": "application/yaml"}
    address = urlsplit(stack.url)
    connection = http.client.HTTPConnection(str(address.hostname), address.port, timeout=60)
    latencies_ms = []
    for _ in range(SUBMITS_PER_CLIENT):
        began_ns = time.perf_counter_ns()
        connection.request("POST", "/api/v1/jobs", JOB, headers)
        answer = connection.getresponse()
        body = answer.read()
        latencies_ms.append((time.perf_counter_ns() - began_ns) / 1e6)
        if answer.status != http.HTTPStatus.CREATED:
            raise RuntimeError(f"submit was answered {answer.status}: {body!r}")
    connection.close()
    return latencies_ms
