"""Synthetic tensors and batches: what is sent fits the model and repeats from its seed."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from follower.generate.requests import batched_shape, payloads, synthetic_requests
from follower.load.protocol import Target
from follower.serve.openinference.tensors import ModelMetadata, TensorInfo
from shared.errors import AttemptFailed
from shared.jobs.lifecycle import Cause

TARGET = Target(host="127.0.0.1", port=8000, path="/v2/models/m/infer")


def model(*inputs: tuple[str, str, tuple[int, ...]]) -> ModelMetadata:
    """A model with these inputs: name, datatype, shape."""
    tensors = tuple(TensorInfo(name=name, datatype=datatype, shape=shape) for name, datatype, shape in inputs)
    return ModelMetadata(name="m", inputs=tensors, outputs=(TensorInfo(name="y", datatype="FP32", shape=(-1, 2)),))


def parts(request: bytes) -> tuple[dict[str, object], bytes]:
    """The JSON head and the binary tail, by the protocol's own header."""
    head, _, body = request.partition(b"\r\n\r\n")
    lines = dict(line.split(": ") for line in head.decode().split("\r\n")[1:])
    split = int(lines["Inference-Header-Content-Length"])
    return json.loads(body[:split]), body[split:]


def test_a_batch_of_random_floats_has_the_models_shape() -> None:
    """The free first axis takes the batch; values lie in [0, 1)."""
    (request,) = synthetic_requests(TARGET, model(("x", "FP32", (-1, 3))), 4, 1, seed=1)
    head, tail = parts(request)
    assert head["inputs"][0]["shape"] == [4, 3]  # type: ignore[index]
    values = np.frombuffer(tail, "<f4")
    assert len(values) == 12
    assert ((values >= 0) & (values < 1)).all()
    assert len(set(values)) > 6


def test_a_seed_repeats_and_payloads_differ() -> None:
    """Bit for bit; two payloads of one run are two different ones."""
    description = model(("x", "FP32", (-1, 8)), ("ids", "INT64", (-1, 4)))
    first = synthetic_requests(TARGET, description, 1, 3, seed=7)
    assert first == synthetic_requests(TARGET, description, 1, 3, seed=7)
    assert first != synthetic_requests(TARGET, description, 1, 3, seed=8)
    assert len(set(first)) == 3


def test_a_grpc_target_gets_messages_with_the_same_values() -> None:
    """The seed decides what is sent, the target's dialect how."""
    description = model(("x", "FP32", (-1, 8)))
    grpc = Target(host="127.0.0.1", port=8001, path="/s/m", dialect="openinference-grpc", model_name="m")
    (message,) = synthetic_requests(grpc, description, 2, 1, seed=7)
    (request,) = synthetic_requests(TARGET, description, 2, 1, seed=7)
    _, tail = parts(request)
    assert message[1:5] == (len(message) - 5).to_bytes(4)
    assert message.endswith(tail)


@pytest.mark.parametrize("datatype", ["BOOL", "UINT8", "INT64", "FP16", "FP64", "BYTES"])
def test_every_datatype_can_be_made(datatype: str) -> None:
    """Integers are small, because most are indices."""
    (request,) = synthetic_requests(TARGET, model(("x", datatype, (-1, 5))), 2, 1, seed=1)
    head, tail = parts(request)
    assert head["inputs"][0]["datatype"] == datatype  # type: ignore[index]
    assert tail
    if datatype == "INT64":
        assert np.frombuffer(tail, "<i8").max() < 10


def test_a_model_with_a_fixed_batch_takes_only_that() -> None:
    """The message names the input, what it takes and what the job asks for."""
    tensor = TensorInfo(name="x", datatype="FP32", shape=(1, 3))
    assert batched_shape(tensor, 1) == (1, 3)
    with pytest.raises(AttemptFailed, match=r"input x of shape \[1, 3\] takes 1 samples") as caught:
        batched_shape(tensor, 8)
    assert caught.value.cause is Cause.PIPELINE_FAILED


@given(st.integers(1, 50), st.integers(1, 20))
def test_payloads_hold_every_sample_in_order_and_are_all_full(count: int, batch_size: int) -> None:
    """The last is filled up from the start."""
    batches = payloads(list(range(count)), batch_size)
    assert all(len(batch) == batch_size for batch in batches)
    flat = [sample for batch in batches for sample in batch]
    assert flat[:count] == list(range(count))
    assert len(flat) < count + batch_size
    assert all(sample == position % count for position, sample in enumerate(flat))
