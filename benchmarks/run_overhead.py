"""What a run costs beyond its load, and whether its stages explain its latency."""

import json
from collections.abc import Iterable
from datetime import datetime
from statistics import median

from support.running_stack import ROOT, RunningStack

from benchmarks.figure import Figure
from benchmarks.stack import fresh_stack
from shared.jobs.lifecycle import MEASURED

RUNS = 5
WARMUP_S, DURATION_S = 1, 4
JOB = f"""
apiVersion: inferbench/v1
kind: Job
name: run-overhead
model: {{generate: {{family: fc, layers: 2, width: 64}}}}
workload: {{pattern: poisson, rate: 50, warmup: {WARMUP_S}s, duration: {DURATION_S}s}}
"""


QUICKSTART = (ROOT / "examples" / "jobs" / "quickstart.yaml").read_text()


def run_overhead() -> Iterable[Figure]:
    """Time to the first request, overhead of the whole run, and the sum of the stages; the first run only warms up."""
    with fresh_stack() as stack:
        yield from _runs(stack)


def _runs(stack: RunningStack) -> Iterable[Figure]:
    to_first_s, overhead_s, stage_sums = [], [], []
    for number in range(RUNS + 1):
        job = stack.submit(JOB)
        run_id = f"{job['id']}.0000"
        ended = stack.wait_for_run(run_id, *MEASURED)["state"]
        if number:
            times = _event_times(stack, run_id)
            to_first_s.append((times["warming-up"] - times["queued"]).total_seconds())
            overhead_s.append((times[ended] - times["queued"]).total_seconds() - WARMUP_S - DURATION_S)
            stage_sums.append(_stage_sum(stack, run_id))
    yield Figure(
        name="submit to first request", measured=median(to_first_s), unit="s", high=3, detail=_spread(to_first_s)
    )
    yield Figure(name="overhead of a run", measured=median(overhead_s), unit="s", high=5, detail=_spread(overhead_s))
    yield _explained("small model", stage_sums)
    quickstart = stack.submit(QUICKSTART)
    stack.wait_for_run(f"{quickstart['id']}.0000", *MEASURED)
    yield _explained("quickstart", [_stage_sum(stack, f"{quickstart['id']}.0000")])


def _explained(job: str, stage_sums: list[tuple[float, float, float]]) -> Figure:
    explained, remainder, response_ms = (median(column) for column in zip(*stage_sums, strict=True))
    return Figure(
        name=f"five stages / response latency, {job}",
        measured=explained,
        unit="",
        low=0.98,
        high=1.02,
        detail=f"remainder {remainder:.4f} of {response_ms:.2f} ms, shown as unattributed",
    )


def _spread(values: list[float]) -> str:
    return f"median of {len(values)}, {min(values):.2f} to {max(values):.2f}"


def _event_times(stack: RunningStack, run_id: str) -> dict[str, datetime]:
    """Event kind -> its UTC time; leader and follower share one clock here."""
    text = stack.client.get(f"/api/v1/runs/{run_id}/events").text
    events = [json.loads(line[6:]) for line in text.splitlines() if line.startswith("data: ")]
    return {event["kind"]: datetime.fromisoformat(event["at"]) for event in events}


def _stage_sum(stack: RunningStack, run_id: str) -> tuple[float, float, float]:
    """Share of the mean response latency that the five stages explain, the rest, and that mean in ms."""
    record = stack.get(f"/api/v1/runs/{run_id}/record")["record"]
    mean_ms = record["response_latency"]["mean_ms"]
    explained_ms = sum(stage["mean_ms"] for name, stage in record["stages"].items() if name != "unattributed")
    return explained_ms / mean_ms, record["stages"]["unattributed"]["mean_ms"] / mean_ms, mean_ms
