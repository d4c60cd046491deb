"""What an attempt finds out beside the latencies: calibration, interference, evidence of a broken sender, its story."""

import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from support.assignments import assignment, run_spec, slot
from support.attempt_process import RunningAttempt, attempt_process, story_kinds
from support.fake_leader import TOKEN, fake_leader

from follower.agent.reap import carriers_of
from shared.jobs.lifecycle import Cause
from shared.measure.analyze import analyze
from shared.measure.recompute import derive_again
from shared.measure.record import Record
from shared.measure.samples_file import read_samples
from shared.wire.assignment import Assignment, BlobPin
from shared.workload.arrivals import make_plan
from shared.workload.plan import Plan

SHORT = {"pattern": "closed", "concurrency": 2, "warmup": "200ms", "duration": "1s"}
LONG = {"pattern": "constant", "rate": 50, "warmup": "200ms", "duration": "60s", "request_timeout": "500ms"}
CORES = sorted(os.sched_getaffinity(0))


def short_run(**load: object) -> Assignment:
    """A second of load on a small model."""
    return assignment(spec=run_spec(workload={**SHORT, **load}))


@contextmanager
def burner(core: int) -> Iterator[None]:
    """A stranger that wants all of a core."""
    burn = f"import os; os.sched_setaffinity(0, [{core}])\nprint(flush=True)\nwhile True: pass"
    with subprocess.Popen([sys.executable, "-I", "-c", burn], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            yield
        finally:
            process.kill()


def pid_of(attempt: RunningAttempt, module: str, timeout_s: float = 30.0) -> int:
    """The process of the attempt that runs this module, once there is one."""
    deadline_s = time.monotonic() + timeout_s
    while time.monotonic() < deadline_s:
        for pid in carriers_of(attempt.directory.root):
            try:
                arguments = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if module.encode() in arguments and b"-m" in arguments and b"-I" not in arguments:
                return pid
        time.sleep(0.005)
    raise AssertionError(f"no {module}")


def test_the_calibration_is_made_once_and_kept_for_the_next_attempt(tmp_path: Path) -> None:
    """Of the first attempt by measuring, of the second from the follower's cache; both stand in record and raw file."""
    cache = tmp_path / "shared-cache"
    cache.mkdir()
    found = []
    for name in ("first", "second"):
        with attempt_process(tmp_path / name, short_run(), cache_dir=cache) as attempt:
            record = attempt.succeed().record
            assert story_kinds(attempt)[3:6] == ["ready", "calibrating", "calibrated"]
        assert read_manifest_calibration(attempt) == record.calibration
        found.append(record.calibration)
    first, second = found
    assert first is not None
    assert not first.reused
    assert second == first.model_copy(update={"reused": True})


def read_manifest_calibration(attempt: RunningAttempt) -> object:
    """As the raw file has it."""
    manifest = read_samples(attempt.directory.samples).manifest
    assert manifest is not None
    return manifest.circumstances.calibration


def test_a_calibration_that_fails_does_not_fail_the_run(tmp_path: Path) -> None:
    """The null server is killed as soon as it is there; the record says why there are no figures."""
    with attempt_process(tmp_path, short_run()) as attempt:
        attempt.wait_for("calibrating")
        os.kill(pid_of(attempt, "follower.calibrate.null_server"), signal.SIGKILL)
        record = attempt.succeed().record
        assert "warning" in story_kinds(attempt)
    assert record.calibration is None
    assert [note for note in record.notes if note.startswith("calibration is not available: ")]
    assert record.load is not None
    assert record.load.completed > 0


def test_a_rate_that_the_client_cannot_send_is_told_before_the_load_and_judged_after_it(tmp_path: Path) -> None:
    """Both numbers are named, nothing is dropped, and the verdict is the client's."""
    rate = 100_000
    workload = {"pattern": "constant", "rate": rate, "warmup": "0s", "duration": "1s", "request_timeout": "1s"}
    with attempt_process(tmp_path, assignment(spec=run_spec(workload=workload))) as attempt:
        attempt.finish()
        warnings = [event.message for event in attempt.story if event.kind == "warning"]
        assert story_kinds(attempt).index("warning") < story_kinds(attempt).index("collecting")
    samples = read_samples(attempt.directory.samples)
    assert len(samples.columns["due_ns"]) == rate
    assert samples.manifest is not None
    ceiling = samples.manifest.circumstances.calibration
    assert ceiling is not None
    assert ceiling.ceiling_rps < rate
    assert [said for said in warnings if "planned 100,000/s is above" in said and f"{ceiling.ceiling_rps:,.0f}" in said]
    plan = plan_of(samples.manifest.spec["workload"])
    verdict = analyze(samples.columns, plan, samples.manifest.circumstances).verdict
    assert [reason for reason in verdict.reasons if reason.startswith("client-limited")]


def plan_of(workload: dict[str, object]) -> Plan:
    """Drawn again from the raw file's own spec."""
    return make_plan(run_spec(workload=workload).workload, 4)


def test_a_killed_sender_ends_the_attempt_and_its_rows_are_kept(tmp_path: Path) -> None:
    """They are the samples of the attempt, without a manifest: evidence, and no result."""
    with attempt_process(tmp_path, assignment(spec=run_spec(workload=LONG))) as attempt:
        attempt.wait_for("measuring")
        time.sleep(0.5)
        os.kill(pid_of(attempt, "follower.load.sender"), signal.SIGKILL)
        failure = attempt.fail(timeout_s=20)
        assert carriers_of(tmp_path) == ()
    assert failure.cause is Cause.FOLLOWER_ERROR
    assert "load sender" in failure.detail
    assert "signal 9" in failure.detail
    kept = read_samples(attempt.directory.samples)
    assert kept.manifest is None
    assert len(kept.columns["due_ns"]) >= 10
    assert (kept.columns["error"] == 0).any()


@pytest.mark.parametrize(("invalid_above", "kind"), [(0.2, "invalid"), (1.0, "marked")])
def test_a_stranger_on_the_measured_core_marks_the_run_or_makes_it_invalid(
    tmp_path: Path, invalid_above: float, kind: str
) -> None:
    """By the follower's two limits; the share itself is in the record.

    The server is all but idle, so that the stranger has its core: half of a slot of two.
    """
    seldom = {"pattern": "constant", "rate": 20, "warmup": "200ms", "duration": "1s"}
    own = slot(server_cores=(CORES[-1],), client_cores=(CORES[0],))
    with (
        burner(CORES[-1]),
        attempt_process(
            tmp_path,
            assignment(spec=run_spec(workload=seldom)),
            pinned_slot=own,
            preflight="mark",
            max_busy_share=0.05,
            invalid_busy_share=invalid_above,
        ) as attempt,
    ):
        record = attempt.succeed().record
    assert record.host.foreign_share is not None
    assert record.host.foreign_share > 0.2
    if kind == "invalid":
        assert record.verdict.kind == "invalid"
        assert [reason for reason in record.verdict.reasons if reason.startswith("interference: others used")]
    else:
        assert record.verdict.kind != "invalid"
        assert [reason for reason in record.verdict.reasons if "inside the window" in reason]


def test_the_live_view_tells_of_the_run_while_it_goes_on(tmp_path: Path) -> None:
    """About once a second, with figures that agree with the record's; at a cost that is in the record."""
    workload = {"pattern": "constant", "rate": 100, "warmup": "500ms", "duration": "3s"}
    with attempt_process(tmp_path, assignment(spec=run_spec(workload=workload))) as attempt:
        record = attempt.succeed().record
        told = [event for event in attempt.story if event.kind == "measuring"]
    assert 3 <= len(told) <= 4
    last = told[-1].data
    assert last["duration_s"] == 3
    assert last["rate_rps"] == pytest.approx(100, rel=0.3)
    assert last["response_p50_ms"] == pytest.approx(record.response_latency.ms("p50"), rel=0.5)
    assert last["errors"] == 0
    assert record.load is not None
    assert last["in_flight"] <= record.load.max_in_flight + 1
    check_costs(record)


def check_costs(record: Record) -> None:
    """What is read is there, what is not has a reason, and reading is a small part of the cores' time."""
    assert record.host.collector_share is not None
    assert 0 < record.host.collector_share < 0.1
    for resources in (record.server, record.client):
        assert resources.cpu_mean_pct is not None
        assert resources.threads_max is not None
        assert resources.samples >= 5
    assert record.devices == ()
    assert [note for note in record.notes if note.startswith("devices is not available: ")]


def test_a_trace_is_fetched_and_replayed(tmp_path: Path) -> None:
    """Each arrival at its own time after the first, from the bytes that were pinned."""
    at_ms = [0, 40, 45, 300, 700, 710, 1_100]
    content = b"timestamp\n" + b"".join(b"%.3f\n" % (ms / 1_000) for ms in at_ms)
    digest = hashlib.sha256(content).hexdigest()
    (tmp_path / "token").write_text(TOKEN)
    workload = {"pattern": "trace", "trace": "june", "warmup": "0s", "duration": "2s"}
    pin = BlobPin(name="june", version=1, sha256=digest, size_bytes=len(content))
    task = assignment(spec=run_spec(workload=workload)).model_copy(update={"trace": pin})
    with fake_leader() as leader:
        leader.blobs[digest] = content
        with attempt_process(tmp_path, task, leader_url=leader.url) as attempt:
            record = attempt.succeed().record
    samples = read_samples(attempt.directory.samples)
    assert derive_again(samples, record) == []
    due_ns = samples.columns["due_ns"]
    assert np.array_equal(due_ns - due_ns[0], np.asarray(at_ms) * 1_000_000)
    assert record.load is not None
    assert record.load.planned == len(at_ms)
    assert record.environment["pins"]["trace"]["sha256"] == digest


def test_a_trace_that_cannot_be_read_is_named_with_its_line(tmp_path: Path) -> None:
    """No service is started for it."""
    content = b"timestamp\n0.5\nnan\n"
    digest = hashlib.sha256(content).hexdigest()
    (tmp_path / "token").write_text(TOKEN)
    pin = BlobPin(name="june", version=1, sha256=digest, size_bytes=len(content))
    workload = {"pattern": "trace", "trace": "june", "warmup": "0s", "duration": "2s"}
    task = assignment(spec=run_spec(workload=workload)).model_copy(update={"trace": pin})
    with fake_leader() as leader:
        leader.blobs[digest] = content
        with attempt_process(tmp_path, task, leader_url=leader.url) as attempt:
            failure = attempt.fail()
            assert "starting-server" not in story_kinds(attempt)
    assert failure.cause is Cause.PIPELINE_FAILED
    assert "line 3" in failure.detail
