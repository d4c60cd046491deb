"""The first inference, over the protocol that the load will speak, with its answer looked at to the last byte."""

from collections.abc import Mapping, Sequence

import numpy as np

from follower.load.ask import ask
from follower.load.dialects import DIALECTS, target_of
from follower.load.encode import Array, InputTensor, MalformedAnswer
from follower.serve.openinference.tensors import DTYPES, ModelMetadata, example_shape
from follower.serve.protocol import Endpoint


def infer_zeros(endpoint: Endpoint, model: ModelMetadata, timeout_s: float, hints: Mapping[str, Sequence[int]]) -> None:
    """Has zeros inferred, of the shapes in ``hints`` or else of ``example_shape``, and checks what comes back.

    Raises:
        NoAnswer: none, or an error.
        MalformedAnswer: an output is missing, or its bytes, type or shape are not those of the model's description.
    """
    inputs = [
        InputTensor(
            name=tensor.name,
            datatype=tensor.datatype,
            array=np.zeros(example_shape(tensor, hints.get(tensor.name)), DTYPES[tensor.datatype]),
        )
        for tensor in model.inputs
    ]
    target = target_of(endpoint)
    dialect = DIALECTS[endpoint.dialect]
    answer = ask(target, dialect.encode(target, inputs), round(timeout_s * 1e9))
    check_outputs(model, dialect.decode(answer))


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
