"""From a job file to the leaderboard, on real parts."""

import io
import math
import subprocess
from typing import Any

import pyarrow.parquet as pq  # type: ignore[import-untyped]
import pytest
from support.running_stack import INFERBENCH, ROOT, RunningStack

from shared.jobs.lifecycle import MEASURED

CANONICAL = """
apiVersion: inferbench/v1
kind: Job
name: {name}
model: {{generate: {{family: fc, layers: 2, width: 64}}}}
service: {{platform: onnxruntime, threads: 1}}
workload: {{{workload}, warmup: 500ms, duration: 2s, seed: 7}}
"""


def finished_record(stack: RunningStack, job_yaml: str) -> dict[str, Any]:
    """Submits a one-run job and returns its record."""
    job = stack.submit(job_yaml)
    run = stack.wait_for_run(f"{job['id']}.0000")
    assert run["state"] in MEASURED, run  # others use the machine, too: it may have been disturbed
    return dict(stack.get(f"/api/v1/runs/{run['id']}/record")["record"])


@pytest.fixture(scope="module")
def poisson(stack: RunningStack) -> dict[str, Any]:
    """The record of a small canonical model under Poisson arrivals."""
    return finished_record(stack, CANONICAL.format(name="e2e-poisson", workload="pattern: poisson, rate: 60"))


def test_a_posted_job_ends_as_a_leaderboard_row(stack: RunningStack, poisson: dict[str, Any]) -> None:
    """The accepted record is ranked among the records with its comparability key."""
    board = stack.get(f"/api/v1/leaderboard?metric=p99_ms&key={poisson['comparability_key']}")
    rows = [row for group in board["groups"] for row in group["rows"]]
    is_ranked = poisson["run_id"] in [row["run_id"] for row in rows]
    assert is_ranked == (poisson["verdict"]["kind"] != "invalid")
    assert [row["value"] for row in rows] == sorted(row["value"] for row in rows)


def test_all_that_was_offered_was_sent(poisson: dict[str, Any]) -> None:
    """No slot of the plan is dropped: due, sent and answered agree on a fast server."""
    load = poisson["load"]
    assert load["planned"] == load["sent"] == load["completed"]
    assert load["planned"] == pytest.approx(120, abs=5 * math.sqrt(120))
    assert poisson["errors"] == {}


def test_the_stages_sum_to_the_response_latency(poisson: dict[str, Any]) -> None:
    """Five stages and the remainder explain the mean response latency."""
    total_ms = sum(stage["mean_ms"] for stage in poisson["stages"].values())
    assert total_ms == pytest.approx(poisson["response_latency"]["mean_ms"], rel=1e-6)


def test_the_raw_samples_reproduce_the_record(stack: RunningStack, poisson: dict[str, Any]) -> None:
    """The median of the record is the nearest-rank median of the downloaded columns."""
    raw = stack.client.get(f"/api/v1/runs/{poisson['run_id']}/samples")
    columns = pq.read_table(io.BytesIO(raw.content)).to_pydict()
    origin = min(columns["due_ns"])
    n = poisson["response_latency"]["n"]
    in_window = sorted(zip(columns["due_ns"], columns["done_ns"], strict=True))[-n:]
    latencies = sorted(done - due for due, done in in_window)
    assert origin <= in_window[0][0]
    median = poisson["response_latency"]["percentiles"]["p50"]
    assert median["ms"] == pytest.approx(latencies[math.ceil(n / 2) - 1] / 1e6, rel=1e-9)
    assert median["low_ms"] <= median["ms"] <= median["high_ms"]


def test_a_closed_loop_keeps_its_concurrency(stack: RunningStack) -> None:
    """Four clients in flight, never five, and Little's law holds on what was measured."""
    record = finished_record(stack, CANONICAL.format(name="e2e-closed", workload="pattern: closed, concurrency: 4"))
    assert record["load"]["max_in_flight"] == 4
    in_flight = record["throughput_rps"] * record["response_latency"]["mean_ms"] / 1e3
    assert in_flight == pytest.approx(4, rel=0.1)


def test_a_sweep_with_repeats_gives_one_record_each(stack: RunningStack) -> None:
    """Two points, twice: four runs, ranked in two groups at most, none lost."""
    job = stack.submit(
        CANONICAL.format(name="e2e-sweep", workload="pattern: constant, rate: 20")
        .replace("duration: 2s", "duration: 500ms")
        .replace("warmup: 500ms", "warmup: 100ms")
        + "repeats: 2\nsweep: {service.threads: [1, 2]}\n"
    )
    assert job["run_count"] == 4
    for index in range(4):
        assert stack.wait_for_run(f"{job['id']}.{index:04d}")["state"] in MEASURED
    records = stack.get(f"/api/v1/records?job_id={job['id']}")["items"]
    assert len(records) == 4
    assert len({entry["record"]["configuration_key"] for entry in records}) == 2
    assert len({entry["record"]["comparability_key"] for entry in records}) == 1


def test_events_tell_the_story_in_order_and_can_be_resumed(stack: RunningStack, poisson: dict[str, Any]) -> None:
    """The event stream of a finished run ends by itself, and Last-Event-ID goes on behind the event named."""
    path = f"/api/v1/runs/{poisson['run_id']}/events"
    ids = [line[4:] for line in stack.client.get(path).text.splitlines() if line.startswith("id: ")]
    kinds = [line[7:] for line in stack.client.get(path).text.splitlines() if line.startswith("event: ")]
    assert kinds[0] == "queued"
    assert kinds[-1] in MEASURED
    assert {"claimed", "measuring"} <= set(kinds)
    resumed = stack.client.get(path, headers={"Last-Event-ID": ids[2]})
    assert [line[4:] for line in resumed.text.splitlines() if line.startswith("id: ")] == ids[3:]


def test_the_quickstart_reads_text_from_real_jpegs(stack: RunningStack) -> None:
    """The README's job, through the command line: a trained network, its answers and their accuracy."""
    connection = ["--url", stack.url, "--token-file", str(stack.token_file)]
    subprocess.run([INFERBENCH, *connection, "models", "import-packaged", "ppocr-rec"], check=True)
    ran = subprocess.run(
        [INFERBENCH, *connection, "run", str(ROOT / "examples/jobs/quickstart.yaml")],
        check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout + ran.stderr
    (job, *_) = stack.get("/api/v1/jobs?name=quickstart")["items"]
    record = stack.get(f"/api/v1/runs/{job['id']}.0000/record")["record"]
    assert record["quality"]["metric"] == "exact-match"
    assert record["quality"]["value"] >= 0.75
    assert record["stages"]["preprocess"]["mean_ms"] > 0
    assert f"{record['response_latency']['percentiles']['p50']['ms']:.1f}" in ran.stdout
