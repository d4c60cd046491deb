"""Many requests' tensors as one batch, and one batch's outputs as many answers. Pure."""

from collections.abc import Hashable, Mapping, Sequence
from http import HTTPStatus
from itertools import accumulate, pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from follower.serve.modelserver.server.refusal import Refused

Array = npt.NDArray[Any]
Tensors = Mapping[str, Array]


def samples_of(tensors: Tensors) -> int:
    """The first dimension that all inputs share; 1 where they share none."""
    sizes = {array.shape[0] if array.ndim else None for array in tensors.values()}
    size = sizes.pop() if len(sizes) == 1 else None
    return 1 if size is None else size


def kind_of(tensors: Tensors) -> Hashable:
    """Equal for requests that can be concatenated along the first dimension."""
    return tuple((name, tensors[name].shape[1:]) for name in sorted(tensors))


def stack(requests: Sequence[Tensors]) -> Tensors:
    """The batch of several requests of one kind; a single one is passed through without a copy."""
    if len(requests) == 1:
        return requests[0]
    return {name: np.concatenate([request[name] for request in requests]) for name in requests[0]}


def split(outputs: Sequence[Array], samples: Sequence[int]) -> list[list[Array]]:
    """Each request's rows of every output.

    Raises:
        Refused: an output has not one row for each sample, so nobody can say whose rows they are.
    """
    if len(samples) == 1:
        return [list(outputs)]
    total = sum(samples)
    for output in outputs:
        if output.ndim == 0 or output.shape[0] != total:
            message = f"the model answered {total} samples with an output of shape {list(output.shape)}"
            raise Refused(f"{message}: it cannot be batched", HTTPStatus.INTERNAL_SERVER_ERROR)
    edges = pairwise(accumulate(samples, initial=0))
    return [[output[start:end] for output in outputs] for start, end in edges]
