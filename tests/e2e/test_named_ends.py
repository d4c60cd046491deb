"""Failures of the world end in a named state with a cause, and nothing is left behind."""

import os
import signal
import time

import psutil
from support.descendants import children_running
from support.running_stack import RunningStack

from shared.jobs.lifecycle import MEASURED

LONG = """
apiVersion: inferbench/v1
kind: Job
name: {name}
model: {{generate: {{family: fc, layers: 2, width: 64}}}}
service: {{platform: onnxruntime{service}}}
workload: {{pattern: constant, rate: 20, warmup: 500ms, duration: {duration}, request_timeout: 1s}}
"""


def server_of(stack: RunningStack) -> psutil.Process:
    """The serving process of the run in progress, found below the stack's own supervisor."""
    serving = children_running(
        psutil.Process(stack.supervisor.pid), "follower.serve.modelserver.server", recursive=True
    )
    assert serving, "no serving process is running"
    return serving[0]


def measured_run(stack: RunningStack, name: str, duration: str = "30s") -> str:
    """Submits a job and waits until its server is under load."""
    job = stack.submit(LONG.format(name=name, service="", duration=duration))
    run_id = f"{job['id']}.0000"
    stack.wait_for_run(run_id, "running")
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        log = stack.get(f"/api/v1/runs/{run_id}")
        if log["state"] == "running" and _measuring(stack, run_id):
            return run_id
        time.sleep(0.1)
    raise AssertionError(f"{run_id} never began to measure")


def _measuring(stack: RunningStack, run_id: str) -> bool:
    with stack.client.stream("GET", f"/api/v1/runs/{run_id}/events") as events:
        for line in events.iter_lines():
            if line == "event: measuring":
                return True
    return False


def test_a_server_that_never_gets_ready_is_named(stack: RunningStack) -> None:
    """The readiness deadline ends the run as failed, server-not-ready."""
    job = stack.submit(LONG.format(name="never-ready", service=", ready_timeout: 1ms", duration="5s"))
    run = stack.wait_for_run(f"{job['id']}.0000")
    assert (run["state"], run["cause"]) == ("failed", "server-not-ready")


def test_a_server_that_dies_in_mid_run_is_named(stack: RunningStack) -> None:
    """A killed server ends the run as failed, server-died, long before its planned end."""
    run_id = measured_run(stack, "server-dies")
    server_of(stack).kill()
    run = stack.wait_for_run(run_id, timeout_s=20)
    assert (run["state"], run["cause"]) == ("failed", "server-died")


def test_requests_to_a_hanging_server_time_out_and_are_counted(stack: RunningStack) -> None:
    """A server that stops answering costs timeouts in the record, never a hung run."""
    run_id = measured_run(stack, "server-hangs", duration="4s")
    os.kill(server_of(stack).pid, signal.SIGSTOP)
    run = stack.wait_for_run(run_id, timeout_s=40)
    assert run["state"] in MEASURED, run
    record = stack.get(f"/api/v1/runs/{run_id}/record")["record"]
    assert record["errors"]["timeout"] > 0
    assert record["load"]["sent"] == record["load"]["planned"]


def test_cancel_frees_the_host_within_ten_seconds(stack: RunningStack) -> None:
    """Cancel is final at once, and the server is gone soon after."""
    run_id = measured_run(stack, "cancelled")
    server = server_of(stack)
    answer = stack.client.post(f"/api/v1/runs/{run_id}/cancel")
    assert answer.json()["state"] == "cancelled"
    server.wait(timeout=10)
    assert stack.get(f"/api/v1/runs/{run_id}")["state"] == "cancelled"


def test_a_finished_run_cannot_be_cancelled(stack: RunningStack) -> None:
    """Cancelling twice is a conflict with a stable code, and changes nothing."""
    run_id = measured_run(stack, "cancelled-twice")
    assert stack.client.post(f"/api/v1/runs/{run_id}/cancel").is_success
    again = stack.client.post(f"/api/v1/runs/{run_id}/cancel")
    assert (again.status_code, again.json()["code"]) == (409, "conflict")


def test_what_no_follower_has_is_refused_at_submit(stack: RunningStack) -> None:
    """A platform that is not installed is known to the schema and refused by capability, with its place."""
    wanted = LONG.format(name="later", service="", duration="5s").replace("onnxruntime", "tfserving")
    answer = stack.client.post("/api/v1/jobs", content=wanted, headers={"Content-Type": "application/yaml"})
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (422, "not-available")
    assert "not available on any follower" in problem["problems"][0]["message"]
    assert problem["problems"][0]["path"] == "service.platform"
