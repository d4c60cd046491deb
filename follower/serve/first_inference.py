"""The first inference, over the protocol that the load will speak, with its answer looked at to the last byte."""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from follower.load.ask import ask
from follower.load.dialects import DIALECTS, target_of
from follower.load.encode import Array, InputTensor, MalformedAnswer
from follower.serve.openinference.tensors import BYTES, DTYPES, ModelMetadata, TensorInfo, example_shape
from follower.serve.protocol import Endpoint

_NS_PER_S: Final = 1_000_000_000


def infer_zeros(endpoint: Endpoint, model: ModelMetadata, timeout_s: float, hints: Mapping[str, Sequence[int]]) -> None:
    """Has zeros inferred, of the shapes in ``hints`` or else of ``example_shape``, and checks what comes back.

    Raises:
        NoAnswer: none, or an error.
        MalformedAnswer: an output is missing, or its bytes, type or shape are not those of the model's description.
    """
    check_outputs(model, zeros_inferred(endpoint, model.inputs, timeout_s, hints))


def zeros_inferred(
    endpoint: Endpoint, inputs: Sequence[TensorInfo], timeout_s: float, hints: Mapping[str, Sequence[int]]
) -> dict[str, Array]:
    """The same, with the answer as it came.

    Raises:
        NoAnswer: none, or an error.
        MalformedAnswer: the answer cannot be read.
    """
    target, dialect = target_of(endpoint), DIALECTS[endpoint.dialect]
    request = dialect.encode(target, [zeros_of(tensor, hints.get(tensor.name)) for tensor in inputs])
    return dialect.decode(ask(target, request, round(timeout_s * _NS_PER_S)))


def zeros_of(tensor: TensorInfo, hint: Sequence[int] | None = None) -> InputTensor:
    """Zeros for this input, in the shape of the hint or else of ``example_shape``; strings are empty."""
    shape = example_shape(tensor, hint)
    array = np.full(shape, b"", dtype=object) if tensor.datatype == BYTES else np.zeros(shape, DTYPES[tensor.datatype])
    return InputTensor(name=tensor.name, datatype=tensor.datatype, array=array)


def check_outputs(model: ModelMetadata, outputs: Mapping[str, Array]) -> None:
    """Whether the outputs are those that the model is said to have.

    Raises:
        MalformedAnswer: they are not.
    """
    for tensor in model.outputs:
        found = outputs.get(tensor.name)
        if found is None:
            raise MalformedAnswer(f"no output {tensor.name!r}; the answer has {sorted(outputs)}")
        shape = list(found.shape)
        fits = len(shape) == len(tensor.shape) and all(
            wanted in {-1, got} for wanted, got in zip(tensor.shape, shape, strict=True)
        )
        if not fits or found.dtype != DTYPES[tensor.datatype]:
            raise MalformedAnswer(
                f"output {tensor.name!r} is {found.dtype} of shape {shape}; the model's description says"
                f" {tensor.datatype} of shape {list(tensor.shape)} (-1 is free)"
            )
