"""Whole attempts on the real Triton: what it counts and traces stands in the record, and all of it adds up."""

from pathlib import Path
from typing import Any

import pytest
from support.assignments import assignment, run_spec
from support.attempt_process import attempt_process
from support.engines import require_engine

from follower.agent.reap import carriers_of
from follower.serve.triton.layout import SHM
from shared.measure.recompute import derive_again
from shared.measure.record import Record
from shared.measure.samples_file import read_samples

CLOSED = {"pattern": "closed", "concurrency": 4, "warmup": "500ms", "duration": "2s"}


def attempted(folder: Path, *, workload: dict[str, Any] | None = None, **service: Any) -> Record:
    """The record of an attempt that succeeded and left nothing."""
    require_engine("triton")
    spec = run_spec(workload=workload or CLOSED, service={"platform": "triton", **service})
    with attempt_process(folder, assignment(spec=spec)) as attempt:
        record = attempt.succeed().record
        assert derive_again(read_samples(attempt.directory.samples), record) == []
    assert carriers_of(folder) == ()
    assert list(SHM.glob("inferbench-triton-*")) == []
    return record


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_an_attempt_has_the_server_s_own_stages_for_every_request(tmp_path: Path, protocol: str) -> None:
    """Joined by the number of the request: with what is left over, they add up to the response latency."""
    record = attempted(tmp_path, protocol=protocol)
    assert record.errors == {}
    assert record.environment["in_force"]["service"]["back_end"].startswith("python+onnxruntime ")
    latency = record.response_latency
    for stage in ("queue", "inference", "transmission"):
        assert record.stages[stage].n == latency.n, stage
        assert (record.stages[stage].mean_ms or 0) > 0
    told = sum(stage.mean_ms or 0.0 for name, stage in record.stages.items() if name != "unattributed")
    assert 0.98 <= told / (latency.mean_ms or 0) <= 1.02


def test_the_counters_of_the_window_are_those_of_its_requests(tmp_path: Path) -> None:
    """Read at both edges, so that neither warm-up nor the first inference counts.

    Requests are sent every 50 ms and the edges lie half-way between two: none is under way when the counters are read.
    """
    record = attempted(tmp_path, workload={"pattern": "constant", "rate": 20, "warmup": "525ms", "duration": "3s"})
    work = record.server_work
    assert work is not None
    assert work.from_s == pytest.approx(0.525, abs=0.25)
    assert work.to_s == pytest.approx(3.525, abs=0.25)
    assert work.inferences == pytest.approx(20 * (work.to_s - work.from_s), abs=2)
    assert work.executions == work.inferences
    assert record.batch_size_mean == pytest.approx(1.0)


def test_dynamic_batching_shows_in_the_record(tmp_path: Path) -> None:
    """Of eight at a time, several are executed together."""
    workload = {**CLOSED, "concurrency": 8}
    record = attempted(tmp_path, workload=workload, batching={"max_batch_size": 8, "max_delay_ms": 20})
    assert record.errors == {}
    assert (record.batch_size_mean or 0) > 1.5
    assert record.server_work is not None
    assert set(record.server_work.batches) - {"1"}
    assert record.environment["in_force"]["service"]["max_batch_size"] == 8
