"""The stack converts in the background, and never beside a run."""

import time
from typing import Any

import pytest
from support.converters import ask, look, wait_for_state
from support.running_stack import MEASURED, RunningStack

JOB = """
apiVersion: inferbench/v1
kind: Job
name: beside-a-conversion
model: {generate: {family: fc, layers: 1, width: 16}}
workload: {pattern: constant, rate: 20, warmup: 500ms, duration: 6s}
"""


def wait_for_waiting(stack: RunningStack, conversion: str, words: str, timeout_s: float = 30) -> dict[str, Any]:
    """The conversion, once it waits for this."""
    deadline = time.monotonic() + timeout_s
    while words not in ((view := look(stack.client, conversion))["waiting"] or ""):
        assert time.monotonic() < deadline, view
        time.sleep(0.1)
    return view


def wait_until_idle(stack: RunningStack, timeout_s: float = 60) -> None:
    """Other tests of the stack may have asked for conversions."""
    deadline = time.monotonic() + timeout_s
    while any(stack.get(f"/api/v1/conversions?state={state}")["items"] for state in ("queued", "running")):
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.mark.timeout(240)
def test_a_conversion_waits_for_a_run_and_is_done_afterwards(stack: RunningStack) -> None:
    """It says for whom it waits; the run succeeds as if nothing were there."""
    wait_until_idle(stack)
    run_id = f"{stack.submit(JOB)['id']}.0000"
    stack.wait_for_run(run_id, "running")
    conversion = ask(stack.client, "ppocr-cls", "optimized")
    waiting = wait_for_waiting(stack, conversion, "follower 'local'")
    assert stack.get(f"/api/v1/runs/{run_id}")["state"] == "running"
    assert waiting["waiting"].startswith(("converter local: this machine measures for", "it stands still"))
    run = stack.wait_for_run(run_id)
    assert run["state"] in MEASURED, run
    ended = wait_for_state(stack.client, conversion, "succeeded", "failed", "cancelled")
    assert (ended["state"], ended["converter"]) == ("succeeded", "local"), ended
    assert stack.get(ended["links"]["result"])["card"]["lineage"]["conversion"] == "optimized"
