"""A generated model, made and served by TensorFlow, benchmarked from end to end."""

from pathlib import Path
from typing import Any

import pytest
from support.assignments import assignment, run_spec
from support.attempt_process import attempt_process
from support.engines import require_engine

from shared.measure.record import Record


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_a_generated_model_is_benchmarked_on_the_stand_in(tmp_path: Path, protocol: str) -> None:
    """The record names what served, everywhere it says so, and knows the stages that the server sent."""
    require_engine("tensorflow")
    service: dict[str, Any] = {
        "platform": "tfs-compat",
        "protocol": protocol,
        "batching": {"max_batch_size": 4, "max_delay_ms": 2},
    }
    workload = {"pattern": "closed", "concurrency": 4, "warmup": "300ms", "duration": "1s"}
    task = assignment(spec=run_spec(workload=workload, service=service))
    with attempt_process(tmp_path, task) as attempt:
        record: Record = attempt.succeed().record
    assert record.errors == {}
    assert record.spec["service"]["platform"] == "tfs-compat"
    assert "tfserving" not in record.model_dump_json()
    assert record.stages["queue"].mean_ms is not None
    assert record.stages["inference"].mean_ms is not None
    assert record.model_card["format"] == "savedmodel"
