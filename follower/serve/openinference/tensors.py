"""The Open Inference Protocol's words for tensors: datatypes, names, shapes.

Source: Open Inference Protocol v2, "Tensor Data Types" and the binary tensor data extension.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

BYTES: Final = "BYTES"
"""Strings: each element is a 4-byte little-endian length and that many bytes."""

BYTES_LENGTH_PREFIX: Final = 4

DTYPES: Final[Mapping[str, np.dtype[Any]]] = {
    "BOOL": np.dtype(np.bool_),
    "UINT8": np.dtype("<u1"),
    "UINT16": np.dtype("<u2"),
    "UINT32": np.dtype("<u4"),
    "UINT64": np.dtype("<u8"),
    "INT8": np.dtype("<i1"),
    "INT16": np.dtype("<i2"),
    "INT32": np.dtype("<i4"),
    "INT64": np.dtype("<i8"),
    "FP16": np.dtype("<f2"),
    "FP32": np.dtype("<f4"),
    "FP64": np.dtype("<f8"),
    BYTES: np.dtype(np.object_),
}
"""Every datatype that can be sent and served, little-endian on the wire."""


@dataclass(frozen=True, kw_only=True)
class TensorInfo:
    """One input or output: Open Inference Protocol datatype, and a shape in which -1 is free."""

    name: str
    datatype: str  # "FP32", "INT64", ...
    shape: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class ModelMetadata:
    """What the running service says of its model."""

    name: str
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]


DEFAULT_FREE_DIMENSION: Final = 32
"""A free height, width or sequence length of which nothing more is known: small, and every common stride divides it."""


def example_shape(tensor: TensorInfo, hint: Sequence[int] | None = None) -> tuple[int, ...]:
    """A concrete shape to try a model with: the hint where it has one, one sample otherwise.

    The first free dimension of a tensor is its batch if it stands first (-> 1); every other free one becomes
    ``DEFAULT_FREE_DIMENSION``.
    """
    if hint is not None:
        return tuple(hint)
    return tuple(
        size if size >= 0 else (1 if axis == 0 else DEFAULT_FREE_DIMENSION) for axis, size in enumerate(tensor.shape)
    )
