"""One attempt, end to end, with a real server, a real sender and real faults."""

import hashlib
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from support.assignments import SMALL_JOB, assignment, run_spec, slot
from support.attempt_process import attempt_process, story_kinds
from support.fake_leader import TOKEN, fake_leader
from support.records import is_clean
from support.scripted_agent import wait_until_gone

from follower.agent.reap import carriers_of
from model_repo.packaged.installed import load
from shared.jobs.lifecycle import Cause
from shared.jobs.spec import RunSpec
from shared.measure.columns import ERROR_KINDS
from shared.measure.recompute import derive_again
from shared.measure.record import Record
from shared.measure.samples_file import read_samples
from shared.wire.assignment import ModelPin
from shared.workload.arrivals import make_plan

CLOSED = {"pattern": "closed", "concurrency": 2, "warmup": "300ms", "duration": "1s"}
POISSON = {"pattern": "poisson", "rate": 60, "warmup": "300ms", "duration": "2s"}
LONG = {"pattern": "constant", "rate": 50, "warmup": "200ms", "duration": "60s", "request_timeout": "500ms"}
STORY = [
    "preparing", "generating-model", "starting-server", "ready", "calibrating", "calibrated",
    "warming-up", "measuring", "collecting", "done",
]  # fmt: skip


def check_invariants(record: Record, samples: Path) -> None:
    """What every record must satisfy, worked out from its raw samples without the analysis."""
    columns = read_samples(samples).columns
    latency = record.response_latency
    known = [latency.min_ms, *(found.ms for found in latency.percentiles.values() if found.certified), latency.max_ms]
    assert known == sorted(known)  # type: ignore[type-var]
    stage_sum = sum(stage.mean_ms or 0.0 for stage in record.stages.values())
    assert math.isclose(stage_sum, latency.mean_ms or 0.0, rel_tol=1e-6)
    assert (columns["due_ns"] <= columns["start_ns"]).all()
    assert record.load is not None
    assert len(columns["due_ns"]) >= record.load.sent
    assert record.metrics["p99_ms"] == latency.ms("p99")
    assert derive_again(read_samples(samples), record) == []
    cold = record.cold_start
    assert cold.spawned_ms <= cold.port_open_ms <= cold.ready_ms <= cold.first_inference_ms  # type: ignore[operator]


def median_and_longest_ms(record: Record, samples: Path) -> tuple[float, float]:
    """Of an open loop's window by nearest rank, from the raw samples and the seed alone."""
    columns = read_samples(samples).columns
    workload = RunSpec.model_validate(record.spec).workload
    plan = make_plan(workload, SMALL_JOB["requests"]["distinct"])
    into_run_ns = columns["due_ns"] - columns["due_ns"][0] + plan.due_ns[0]
    inside = (into_run_ns >= record.warmup_s * 1e9 - 1) & (columns["error"] == 0)
    ascending = sorted((columns["done_ns"] - columns["due_ns"])[inside])
    return float(ascending[math.ceil(0.5 * len(ascending)) - 1]) / 1e6, float(ascending[-1]) / 1e6


@pytest.mark.parametrize("workload", [CLOSED, POISSON], ids=["closed", "open"])
def test_a_small_generated_model_is_benchmarked_from_end_to_end(tmp_path: Path, workload: dict[str, object]) -> None:
    """The record agrees with the raw samples, the story is whole, and nothing is left running."""
    task = assignment(spec=run_spec(workload=workload, slo={"p50_ms": 5000}))
    with attempt_process(tmp_path, task) as attempt:
        record = attempt.succeed().record
        assert carriers_of(tmp_path) == ()
        assert story_kinds(attempt) == STORY
        assert [event.n for event in attempt.story] == list(range(1, len(attempt.story) + 1))
    check_invariants(record, attempt.directory.samples)
    if workload is POISSON:
        median, longest = median_and_longest_ms(record, attempt.directory.samples)
        assert record.response_latency.ms("p50") == pytest.approx(median)
        assert record.response_latency.max_ms == pytest.approx(longest)
    assert record.errors == {}
    assert record.slo_met
    assert record.quality is None
    assert record.server.cpu_mean_pct is not None
    assert record.model_card["parameters"] > 0
    assert record.run_id == task.run_id


def test_server_and_client_run_on_their_own_cores(tmp_path: Path) -> None:
    """The record says what the kernel says of the running processes, not what was asked for."""
    cores = sorted(os.sched_getaffinity(0))
    client, server = cores[:1], cores[-1:]
    task = assignment(spec=run_spec(workload=CLOSED))
    own = slot(server_cores=tuple(server), client_cores=tuple(client))
    with attempt_process(tmp_path, task, pinned_slot=own) as attempt:
        in_force = attempt.succeed().record.environment["in_force"]
    assert in_force["server_affinity"] == server


def test_a_real_model_reads_real_pictures_before_the_load(tmp_path: Path) -> None:
    """Fetched by digest, answers checked against labels once per sample, every stage of the pipeline timed."""
    path, card = load("ppocr-rec")
    content = path.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    (tmp_path / "token").write_text(TOKEN)
    with fake_leader() as leader:
        leader.blobs[digest] = content
        pin = ModelPin(
            name="ppocr-rec", version=1, sha256=digest, size_bytes=len(content), card=card.model_dump(mode="json")
        )
        spec = run_spec(
            model={"name": "ppocr-rec"},
            requests={"dataset": "text-lines"},
            pipeline={
                "preprocess": [
                    {"op": "decode_image", "channels": "bgr"},
                    {"op": "resize", "size": [48, 320], "keep_aspect": True},
                    {"op": "normalize", "mean": [0.5], "std": [0.5]},
                    {"op": "channels_first"},
                ],
                "postprocess": [{"op": "ctc_decode"}],
            },
            workload={"pattern": "closed", "concurrency": 1, "warmup": "200ms", "duration": "2s"},
        )
        with attempt_process(tmp_path, assignment(spec=spec, model=pin), leader_url=leader.url) as attempt:
            record = attempt.succeed().record
            assert story_kinds(attempt)[1:5] == ["fetching-model", "starting-server", "ready", "checking-answers"]
    check_invariants(record, attempt.directory.samples)
    assert record.quality is not None
    assert record.quality.metric == "exact-match"
    assert record.quality.n == 32
    assert record.quality.value is not None
    assert record.quality.value > 0.8
    assert {answer.sample for answer in record.quality.answers if answer.answer == answer.label}
    assert (record.stages["preprocess"].mean_ms or 0) > 0
    assert (record.stages["postprocess"].mean_ms or 0) > 0
    assert (tmp_path / "cache" / digest).read_bytes() == content


def test_a_model_that_the_leader_does_not_have_is_named(tmp_path: Path) -> None:
    """No server is started for bytes that cannot be had."""
    (tmp_path / "token").write_text(TOKEN)
    pin = ModelPin(name="gone", version=1, sha256="0" * 64, size_bytes=1)
    with (
        fake_leader() as leader,
        attempt_process(
            tmp_path, assignment(spec=run_spec(model={"name": "gone"}), model=pin), leader_url=leader.url
        ) as attempt,
    ):
        failure = attempt.fail()
        assert "starting-server" not in story_kinds(attempt)
    assert failure.cause is Cause.MODEL_UNAVAILABLE
    assert "gone" in failure.detail


def test_a_server_that_is_killed_in_mid_run_ends_the_attempt_at_once(tmp_path: Path) -> None:
    """F10: cause and log's tail within seconds, though a minute of load was planned."""
    with attempt_process(tmp_path, assignment(spec=run_spec(workload=LONG))) as attempt:
        attempt.wait_for("measuring")
        os.kill(attempt.server_pid(), signal.SIGKILL)
        killed_ns = time.monotonic_ns()
        failure = attempt.fail(timeout_s=20)
        assert time.monotonic_ns() - killed_ns < 10_000_000_000
        assert carriers_of(tmp_path) == ()
    assert failure.cause is Cause.SERVER_DIED
    assert "SIGKILL" in failure.detail


def test_a_server_that_hangs_is_counted_in_timeouts(tmp_path: Path) -> None:
    """F31: requests that got no answer stay in the result, as errors, and the run ends on time."""
    workload = {**LONG, "rate": 20, "duration": "4s"}
    with attempt_process(tmp_path, assignment(spec=run_spec(workload=workload))) as attempt:
        attempt.wait_for("measuring")
        time.sleep(1.0)
        server = attempt.server_pid()
        os.kill(server, signal.SIGSTOP)
        record = attempt.succeed().record
        assert carriers_of(tmp_path) == ()
    columns = read_samples(attempt.directory.samples).columns
    timeouts = int((columns["error"] == ERROR_KINDS.index("timeout")).sum())
    assert timeouts > 0
    assert record.errors["timeout"] <= timeouts
    assert record.error_rate is not None
    assert record.error_rate > 0
    assert not is_clean(record.verdict)
    assert np.isfinite(record.response_latency.max_ms or math.nan)


def test_a_server_that_hangs_from_the_first_request_on_leaves_no_record(tmp_path: Path) -> None:
    """Without one success in the window there is nothing to rank."""
    workload = {**LONG, "rate": 20, "warmup": "1500ms", "duration": "1s"}
    with attempt_process(tmp_path, assignment(spec=run_spec(workload=workload))) as attempt:
        attempt.wait_for("warming-up")
        os.kill(attempt.server_pid(), signal.SIGSTOP)
        failure = attempt.fail()
    assert failure.cause is Cause.NO_SUCCESSFUL_REQUEST
    assert "timeout" in failure.detail


@pytest.mark.parametrize("moment", ["starting-server", "ready", "measuring"])
def test_an_attempt_that_is_killed_leaves_no_server_and_no_sender(tmp_path: Path, moment: str) -> None:
    """F9: the kernel ends what the attempt started, at whatever moment it dies."""
    with attempt_process(tmp_path, assignment(spec=run_spec(workload=LONG))) as attempt:
        attempt.wait_for(moment)
        left = carriers_of(tmp_path)
        attempt.process.kill()
        attempt.process.wait()
        wait_until_gone(left)
        wait_until_gone(carriers_of(tmp_path))


def test_a_busy_host_is_refused_where_the_follower_says_so(tmp_path: Path) -> None:
    """The refusal is the follower's fault, not the run's: the leader may give it to another."""
    cores = sorted(os.sched_getaffinity(0))
    own = slot(server_cores=(cores[-1],), client_cores=(cores[0],))
    burn = f"import os; os.sched_setaffinity(0, [{cores[-1]}])\nwhile True: pass"
    busy = subprocess.Popen([sys.executable, "-c", burn])
    task = assignment(spec=run_spec(workload=CLOSED))
    try:
        with attempt_process(tmp_path, task, pinned_slot=own, preflight="refuse", max_busy_share=0.2) as attempt:
            failure = attempt.fail()
    finally:
        busy.kill()
        busy.wait()
    assert failure.cause is Cause.FOLLOWER_ERROR
    assert "busy host" in failure.detail


def test_a_fault_of_our_own_is_one_line_with_its_traceback_in_the_log(tmp_path: Path) -> None:
    """An order that makes no sense must not end in silence."""
    with attempt_process(tmp_path, assignment()) as attempt:
        attempt.directory.order.write_text("{}")
        failure = attempt.fail()
    assert failure.cause is Cause.FOLLOWER_ERROR
    assert "\n" not in failure.detail
    assert "Traceback" in attempt.log
