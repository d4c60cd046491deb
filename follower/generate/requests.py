"""What is sent: synthetic tensors made ahead from what the service says of its model, or samples in batches. Pure."""

from collections.abc import Sequence
from typing import Any, Final, TypeVar

import numpy as np
import numpy.typing as npt

from follower.load.dialects import DIALECTS
from follower.load.encode import InputTensor
from follower.load.protocol import Target
from follower.serve.modelserver.pipelined import RAW_INPUT
from follower.serve.openinference.tensors import BYTES, DTYPES, ModelMetadata, TensorInfo, example_shape
from shared.errors import AttemptFailed
from shared.jobs.lifecycle import Cause

_VALUE_STREAM: Final = 2  # beside the plan's streams of the same seed
_SMALL_INTEGERS: Final = 10
"""Integers are usually indices; small ones exist in every vocabulary."""

ItemT = TypeVar("ItemT")


def synthetic_requests(
    target: Target, model: ModelMetadata, batch_size: int, distinct: int, seed: int
) -> tuple[bytes, ...]:
    """``distinct`` requests of ``batch_size`` random samples each, as the target's dialect sends them.

    The same seed gives the same bytes.

    Raises:
        AttemptFailed: PIPELINE_FAILED where the model takes no such batch.
    """
    stream = np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=(_VALUE_STREAM,))))
    dialect = DIALECTS[target.dialect]
    return tuple(
        dialect.encode(target, [_random_input(tensor, batch_size, stream) for tensor in model.inputs])
        for _ in range(distinct)
    )


def batched_shape(tensor: TensorInfo, batch_size: int) -> tuple[int, ...]:
    """A concrete shape for ``batch_size`` samples; other free dimensions get the platform's example size.

    Raises:
        AttemptFailed: PIPELINE_FAILED where the tensor's own batch is fixed at another size.
    """
    if not tensor.shape:
        return ()
    if tensor.shape[0] not in (-1, batch_size):
        raise AttemptFailed(
            Cause.PIPELINE_FAILED,
            f"input {tensor.name} of shape {list(tensor.shape)} takes {tensor.shape[0]} samples in a request;"
            f" requests.batch_size is {batch_size}",
        )
    return (batch_size, *example_shape(tensor)[1:])


def payloads(samples: Sequence[ItemT], batch_size: int) -> tuple[tuple[ItemT, ...], ...]:
    """Samples in order, ``batch_size`` to a payload; the last payload is filled up from the start."""
    count = -(-len(samples) // batch_size)
    return tuple(
        tuple(samples[(first + offset) % len(samples)] for offset in range(batch_size))
        for first in range(0, count * batch_size, batch_size)
    )


def raw_requests(target: Target, batches: Sequence[Sequence[bytes]]) -> tuple[bytes, ...]:
    """One request for each payload, with its samples as they lie in the dataset, for a server that does the rest."""
    return tuple(
        DIALECTS[target.dialect].encode(
            target, [InputTensor(name=RAW_INPUT, datatype=BYTES, array=np.array(samples, dtype=object))]
        )
        for samples in batches
    )


def _random_input(tensor: TensorInfo, batch_size: int, stream: np.random.Generator) -> InputTensor:
    shape = batched_shape(tensor, batch_size)
    return InputTensor(name=tensor.name, datatype=tensor.datatype, array=_random_array(tensor, shape, stream))


def _random_array(tensor: TensorInfo, shape: tuple[int, ...], stream: np.random.Generator) -> npt.NDArray[Any]:
    if tensor.datatype not in DTYPES:
        raise AttemptFailed(Cause.PIPELINE_FAILED, f"input {tensor.name}: datatype {tensor.datatype} cannot be sent")
    dtype = DTYPES[tensor.datatype]
    if dtype.kind == "f":
        return stream.random(shape, dtype=np.float32).astype(dtype)
    if dtype.kind == "b":
        return stream.random(shape) < 0.5  # noqa: PLR2004 - a fair coin
    numbers = stream.integers(0, _SMALL_INTEGERS, size=shape)
    return numbers.astype(str).astype(object) if dtype.kind == "O" else numbers.astype(dtype)
