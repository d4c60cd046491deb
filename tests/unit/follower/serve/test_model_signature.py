"""Tensors against what the model says it takes."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from follower.serve.modelserver.server.codec import Tensor
from follower.serve.modelserver.server.refusal import Refused
from follower.serve.modelserver.server.signature import can_batch, check_inputs, check_outputs
from follower.serve.openinference.tensors import ModelMetadata, TensorInfo


def info(name: str, *shape: int, datatype: str = "FP32") -> TensorInfo:
    """An input or output."""
    return TensorInfo(name=name, datatype=datatype, shape=shape)


MODEL = ModelMetadata(
    name="m", inputs=(info("a", -1, 3), info("b", -1, datatype="INT64")), outputs=(info("y", -1, 3), info("z", -1))
)


def tensors(**changes: Tensor | None) -> Mapping[str, Tensor]:
    """Two samples that fit, parts of which may be changed; None leaves one out."""
    fitting: dict[str, Any] = {
        "a": Tensor("FP32", np.zeros((2, 3), np.float32)),
        "b": Tensor("INT64", np.zeros(2, np.int64)),
    }
    return {name: tensor for name, tensor in {**fitting, **changes}.items() if tensor is not None}


def test_tensors_that_fit_are_let_through() -> None:
    """Free dimensions take any size, also none."""
    check_inputs(MODEL, tensors(), batched=True)
    empty = {"a": Tensor("FP32", np.zeros((0, 3), np.float32)), "b": Tensor("INT64", np.zeros(0, np.int64))}
    check_inputs(MODEL, empty, batched=True)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"b": None}, "takes inputs ['a', 'b'], but the request has ['a']"),
        ({"c": Tensor("FP32", np.zeros(1))}, "but the request has ['a', 'b', 'c']"),
        ({"b": Tensor("INT32", np.zeros(2, np.int32))}, "'b' has datatype INT64, but the request sends INT32"),
        ({"a": Tensor("FP32", np.zeros((2, 4)))}, "'a' has shape [-1, 3] (-1 is free), but the request sends [2, 4]"),
        ({"a": Tensor("FP32", np.zeros(3))}, "but the request sends [3]"),
        ({"b": Tensor("INT64", np.zeros(5, np.int64))}, "same first dimension, but they have {'a': 2, 'b': 5}"),
    ],
)
def test_tensors_that_do_not_fit_are_refused_with_the_reason(changes: dict[str, Tensor | None], words: str) -> None:
    """The message holds what was found and what would be right."""
    with pytest.raises(Refused) as caught:
        check_inputs(MODEL, tensors(**changes), batched=True)
    assert words in caught.value.message
    assert caught.value.status == 400


def test_without_batching_first_dimensions_may_differ() -> None:
    """Only a batch needs one size."""
    check_inputs(MODEL, tensors(b=Tensor("INT64", np.zeros(5, np.int64))), batched=False)


def test_only_known_outputs_can_be_asked_for() -> None:
    """The message lists them."""
    check_outputs(MODEL, ["z", "y"])
    with pytest.raises(Refused, match=r"outputs \['y', 'z'\], but the request asks for 'x'"):
        check_outputs(MODEL, ["y", "x"])


@pytest.mark.parametrize(("shape", "batchable"), [((-1, 3), True), ((-1,), True), ((1, 3), False), ((), False)])
def test_a_model_batches_if_every_first_dimension_is_free(shape: tuple[int, ...], batchable: bool) -> None:
    """One fixed one, on either side, is enough to forbid it."""
    free = info("free", -1)
    assert can_batch(ModelMetadata(name="m", inputs=(free, info("x", *shape)), outputs=(free,))) is batchable
    assert can_batch(ModelMetadata(name="m", inputs=(free,), outputs=(free, info("y", *shape)))) is batchable
