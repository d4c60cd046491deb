"""Requests that Triton would refuse one by one are refused as a job."""

from typing import Any

import pytest
from pydantic import ValidationError

from shared.jobs.spec import RunSpec


def run(platform: str, *, max_batch_size: int, batch_size: int) -> RunSpec:
    """A run with these batches."""
    sections: dict[str, Any] = {
        "model": {"name": "m"},
        "service": {"platform": platform, "batching": {"max_batch_size": max_batch_size}},
        "requests": {"batch_size": batch_size},
        "workload": {"pattern": "closed", "concurrency": 1},
    }
    return RunSpec.model_validate(sections)


def test_a_request_larger_than_triton_s_batch_is_a_contradiction() -> None:
    """It says which limit is in the way."""
    with pytest.raises(ValidationError, match="max_batch_size, which is 8"):
        run("triton", max_batch_size=8, batch_size=9)


@pytest.mark.parametrize(
    ("platform", "max_batch_size", "batch_size"), [("triton", 8, 8), ("triton", 1, 32), ("onnxruntime", 8, 9)]
)
def test_others_are_served(platform: str, max_batch_size: int, batch_size: int) -> None:
    """Without batching Triton takes a request of any size; our own server runs a large one alone."""
    assert run(platform, max_batch_size=max_batch_size, batch_size=batch_size).requests.batch_size == batch_size
