"""Whole attempts with the engines that a follower may have: a canonical model, made in the platform's own format."""

from pathlib import Path

import pytest
from support.assignments import assignment, run_spec
from support.attempt_process import attempt_process
from support.engines import require_engine

CLOSED = {"pattern": "closed", "concurrency": 2, "warmup": "300ms", "duration": "1s"}


@pytest.mark.parametrize(("platform", "engine"), [("torchscript", "torch"), ("openvino", "openvino")])
def test_a_generated_model_is_benchmarked_and_the_record_says_what_ran(
    tmp_path: Path, platform: str, engine: str
) -> None:
    """Engine, version and the precision that it chose stand in the record."""
    require_engine(engine)
    task = assignment(spec=run_spec(workload=CLOSED, service={"platform": platform}))
    with attempt_process(tmp_path, task) as attempt:
        record = attempt.succeed().record
    served = record.environment["in_force"]["service"]
    assert served["engine"] == platform
    assert served["version"]
    assert served["precision"] in {"f32", "bf16"}
    assert served["threads"] == 1
    assert record.errors == {}
    assert record.model_card["format"] == ("torchscript" if platform == "torchscript" else "onnx")
    assert record.load is not None
    assert record.load.sent > 10


def test_a_model_that_was_trained_first_says_so_in_the_record(tmp_path: Path) -> None:
    """With the loss before and after."""
    require_engine("torch")
    model = {"generate": {"family": "fc", "layers": 2, "width": 16, "train_steps": 5}}
    task = assignment(spec=run_spec(model=model, workload=CLOSED, service={"platform": "torchscript"}))
    with attempt_process(tmp_path, task) as attempt:
        record = attempt.succeed().record
    training = record.model_card["training"]
    assert training["steps"] == 5
    assert training["loss_after"] < training["loss_before"]
