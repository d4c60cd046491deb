"""A follower that is killed in mid-run costs an attempt, never a run."""

import time
from pathlib import Path
from typing import Any

import psutil
import pytest
from support.running_stack import MEASURED, RunningStack, second_follower

JOB = """
apiVersion: inferbench/v1
kind: Job
name: lost-follower
model: {generate: {family: fc, layers: 1, width: 16}}
workload: {pattern: constant, rate: 20, warmup: 500ms, duration: 6s}
"""


def wait_until(stack: RunningStack, is_so: Any, timeout_s: float = 60) -> None:
    """Looks a few times a second until ``is_so()``."""
    deadline = time.monotonic() + timeout_s
    while not is_so():
        assert time.monotonic() < deadline, stack.get("/api/v1/jobs")
        time.sleep(0.1)


def run_held_by(stack: RunningStack, follower: str, run_ids: list[str]) -> str | None:
    """The run that the follower is executing, if it is one of these."""
    runs = [stack.get(f"/api/v1/runs/{run_id}") for run_id in run_ids]
    return next((run["id"] for run in runs if run["follower"] == follower and run["state"] == "running"), None)


@pytest.mark.timeout(180)
def test_a_run_whose_follower_is_killed_is_executed_by_another(stack: RunningStack, tmp_path: Path) -> None:
    """After the lease has run out the run is queued again, claimed under a new fence, and succeeds once."""
    with second_follower(stack, "doomed", tmp_path / "work") as doomed:
        run_ids = [f"{stack.submit(JOB)['id']}.0000" for _ in range(2)]
        wait_until(stack, lambda: run_held_by(stack, "doomed", run_ids))
        lost = run_held_by(stack, "doomed", run_ids)
        assert lost
        family = psutil.Process(doomed.pid).children(recursive=True)
        doomed.kill()
        doomed.wait(timeout=10)
    assert psutil.wait_procs(family, timeout=10)[1] == []
    run = stack.wait_for_run(lost, timeout_s=90)
    assert (run["state"] in MEASURED, run["attempt"], run["follower"]) == (True, 2, "local"), run
    record = stack.get(f"/api/v1/runs/{lost}/record")["record"]
    assert (record["attempt"], record["follower"]) == (2, "local")
    events = stack.client.get(f"/api/v1/runs/{lost}/events").text
    kinds = [line[7:] for line in events.splitlines() if line.startswith("event: ")]
    assert kinds.count("claimed") == 2
    assert kinds.count("requeued") == 1
    assert kinds.count(run["state"]) == 1
