"""How soon a leader that was killed works again, and how long one question keeps all others waiting."""

import asyncio
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import replace
from http import HTTPStatus
from pathlib import Path
from typing import Any

from support.api_client import LeaderProcess, leader_process
from support.mongo_servers import running_mongo
from support.queued_runs import busy, queued, same_device, slot, snapshot

from benchmarks.claim_latency import fill, register
from benchmarks.figure import Figure
from shared.scheduling.explain import explain

QUEUED = 2_000
RUNNING = 3
START_TARGET_S = 5.0
LONG_QUEUE = 10_000
SLOTS = 100
EXPLANATIONS = 20
BLOCKED_TARGET_MS = 5.0
SWITCH_S = 0.001  # as the leader's main sets it
_SCHEDSTAT = Path("/proc/thread-self/schedstat")


def leader_start() -> Iterable[Figure]:
    """From the start of ``python -m leader`` to its first ready answer, beside 2,000 queued and 3 running runs.

    Real processes, the embedded store. The detail tells when a running attempt's lease was renewed, and when a claim
    was answered. Client, leader and store share the cores.
    """
    with tempfile.TemporaryDirectory() as folder, running_mongo("nx") as mongo:
        url = mongo.fresh_url()
        with leader_process(url, Path(folder)) as first:
            register(first, [f"f{number}" for number in range(RUNNING + 1)])
            fill(first, QUEUED)
            held = [_claim(first, f"f{number}") for number in range(RUNNING)]
        began_s = time.perf_counter()
        with leader_process(url, Path(folder)) as second:
            _until_ready(second)
            ready_s = time.perf_counter() - began_s
            _renew(second, "f0", held[0])
            renewed_s = time.perf_counter() - began_s
            _claim(second, f"f{RUNNING}")
            claimed_s = time.perf_counter() - began_s
    yield Figure(
        name=f"leader start, {QUEUED:,} queued",
        measured=claimed_s,
        unit="s",
        high=START_TARGET_S,
        detail=f"ready {ready_s:.2f} s, lease renewed {renewed_s:.2f} s, claim answered {claimed_s:.2f} s",
    )


def _until_ready(leader: LeaderProcess) -> None:
    with leader.client() as client:
        while client.get("/readyz").status_code != HTTPStatus.OK:
            time.sleep(0.01)


def _claim(leader: LeaderProcess, follower: str) -> dict[str, Any]:
    with leader.client() as client:
        answer = client.post(f"/api/v1/followers/{follower}/claim", json={"incarnation": "i-1", "slot": "cpu-0"})
        answer.raise_for_status()
        given: dict[str, Any] = answer.json()
        return given


def _renew(leader: LeaderProcess, follower: str, given: dict[str, Any]) -> None:
    call = {"incarnation": "i-1", "attempt": given["attempt"], "fence": given["fence"], "started": True}
    with leader.client() as client:
        client.post(f"/api/v1/followers/{follower}/runs/{given['run_id']}/lease", json=call).raise_for_status()


def explain_blocks() -> Iterable[Figure]:
    """The longest that the event loop cannot run while one run of 10,000 queued is explained, median of 20.

    The explainer's own steps, on 100 busy slots: the queue is copied on the loop, the future is played in a thread.
    What the loop waited for a core (the kernel counts it) is taken off: that is other programs' doing.
    """
    kept_s, copied_s, idle_s = asyncio.run(_explained())
    yield Figure(
        name=f"loop kept by explain, {LONG_QUEUE:,} queued",
        measured=sorted(kept_s)[EXPLANATIONS // 2] * 1e3,
        unit="ms",
        high=BLOCKED_TARGET_MS,
        detail=(
            f"copying the queue {min(copied_s) * 1e3:.2f} ms; worst of {EXPLANATIONS}: {max(kept_s) * 1e3:.1f} ms; "
            f"with nothing explained, median {sorted(idle_s)[EXPLANATIONS // 2] * 1e3:.2f} ms"
        ),
    )


async def _explained() -> tuple[list[float], list[float], list[float]]:
    """For each explanation: the longest that a sleeper was late, what copying took, and how late it was before."""
    runs = [queued(f"r{n}", 5.0 + n * 37 % 600, float(n), team=f"t{n % 20}", p90_s=700.0) for n in range(LONG_QUEUE)]
    slots = [slot(f"f{n}", busy=busy("t0", 20_000.0 + n)) for n in range(SLOTS)]
    live = replace(snapshot(runs, slots, now_s=float(LONG_QUEUE)), fits=same_device)
    before_s = sys.getswitchinterval()
    kept_s: list[float] = []
    copied_s: list[float] = []
    idle_s: list[float] = []
    sys.setswitchinterval(SWITCH_S)
    try:
        for number in range(EXPLANATIONS):
            late_s: list[float] = []
            sleeper = asyncio.create_task(_sleep_and_tell(late_s))
            await asyncio.sleep(0.02)
            idle_s.append(max(late_s, default=0.0))
            late_s.clear()
            began_s = time.perf_counter()
            copied = replace(live, backlog=live.backlog.copy())
            copied_s.append(time.perf_counter() - began_s)
            await asyncio.to_thread(explain, copied, f"r{number * (LONG_QUEUE // EXPLANATIONS)}")
            sleeper.cancel()
            kept_s.append(max([*late_s, copied_s[-1]]))
    finally:
        sys.setswitchinterval(before_s)
    return kept_s, copied_s, idle_s


async def _sleep_and_tell(late_s: list[float]) -> None:
    while True:
        began_s, waited_s = time.perf_counter(), _waited_for_a_core_s()
        await asyncio.sleep(0.001)
        late_s.append(time.perf_counter() - began_s - 0.001 - (_waited_for_a_core_s() - waited_s))


def _waited_for_a_core_s() -> float:
    """By this thread so far, as /proc/PID/schedstat counts it (Documentation/scheduler/sched-stats.rst)."""
    return int(_SCHEDSTAT.read_text().split()[1]) / 1e9
