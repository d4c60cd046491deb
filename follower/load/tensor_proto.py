"""TensorFlow's TensorProto as bytes, without TensorFlow. Pure.

Source: ``tensorflow/core/framework/tensor.proto`` and ``tensor_shape.proto``. Elements are sent raw (tensor_content),
strings in string_val; what is read may use the typed fields too, of which the last value stands for all that follow.
"""

import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from follower.load.encode import Array, InputTensor, MalformedAnswer, tensor_bytes
from follower.load.protobuf import (
    VARINT,
    Value,
    bytes_of,
    fields,
    length_field,
    length_head,
    numbers_of,
    signed,
    varint,
)
from follower.serve.openinference.tensors import BYTES, DTYPES
from follower.serve.tensorflow.datatypes import DATATYPE_OF, NUMBER_OF

_DTYPE: Final = 1
_SHAPE: Final = 2
_CONTENT: Final = 4
_STRINGS: Final = 8
_DIM: Final = 2
_DIM_SIZE: Final = 1

_VALUES_OF: Final = {
    "FP32": 5,
    "FP64": 6,
    "INT32": 7, "INT16": 7, "INT8": 7, "UINT8": 7, "UINT16": 7,
    BYTES: _STRINGS,
    "INT64": 10,
    "BOOL": 11,
    "FP16": 13,
    "UINT32": 16,
    "UINT64": 17,
}  # fmt: skip
"""The typed field of a datatype; half_val holds a number's bits."""


def encode_tensor(tensor: InputTensor) -> list[bytes]:
    """A TensorProto, in pieces that are to be joined, so that large contents are copied once.

    Raises:
        ValueError: the datatype is unknown, or the array cannot be cast to it.
    """
    if tensor.datatype not in NUMBER_OF:
        raise ValueError(f"input {tensor.name!r}: unknown datatype {tensor.datatype!r}")
    dims = b"".join(length_field(_DIM, _varint_field(_DIM_SIZE, size)) for size in tensor.array.shape)
    head = _varint_field(_DTYPE, NUMBER_OF[tensor.datatype]) + length_field(_SHAPE, dims)
    if tensor.datatype == BYTES:
        return [head, *(length_field(_STRINGS, as_bytes(value)) for value in tensor.array.ravel())]
    content = tensor_bytes(tensor)
    return [head, length_head(_CONTENT, len(content)), content]


def as_bytes(value: object) -> bytes:
    """A string element as it is sent."""
    return value if isinstance(value, bytes) else str(value).encode()


def decode_tensor(name: str, data: memoryview) -> Array:
    """The array of a TensorProto.

    Raises:
        MalformedAnswer: its elements do not fill its shape, or it is of a type that nobody here knows.
        ValueError: the bytes are no message.
    """
    number, shape, content = 0, list[int](), None
    values: list[tuple[int, int, Value]] = []
    for field, kind, value in fields(data):
        if field == _DTYPE and isinstance(value, int):
            number = value
        elif field == _SHAPE:
            shape = _shape(bytes_of(value))
        elif field == _CONTENT:
            content = bytes_of(value)
        else:
            values.append((field, kind, value))
    if number not in DATATYPE_OF or any(size < 0 for size in shape):
        raise MalformedAnswer(f"output {name!r} has data type {number} and shape {shape}")
    datatype, count = DATATYPE_OF[number], math.prod(shape)
    if content:
        elements = np.frombuffer(content, dtype=_raw(datatype))
    else:
        wanted = [(kind, value) for field, kind, value in values if field == _VALUES_OF[datatype]]
        elements = _filled(_typed(datatype, wanted), count)
    if len(elements) != count:
        raise MalformedAnswer(f"output {name!r} of shape {shape} comes with {len(elements)} elements")
    return elements.reshape(shape)


def _varint_field(number: int, value: int) -> bytes:
    return varint(number << 3 | VARINT) + varint(value)


def _shape(data: memoryview) -> list[int]:
    sizes = []
    for field, _, value in fields(data):
        if field == _DIM:
            found = [size for number, _, size in fields(bytes_of(value)) if number == _DIM_SIZE]
            sizes.append(signed(found[-1]) if found and isinstance(found[-1], int) else 0)
    return sizes


def _raw(datatype: str) -> np.dtype[Any]:
    if datatype == BYTES:
        raise MalformedAnswer("strings in tensor_content")
    return DTYPES[datatype]


def _typed(datatype: str, values: Sequence[tuple[int, Value]]) -> Array:
    """The elements of a typed field, as one row."""
    dtype = DTYPES[datatype]
    if datatype == BYTES:
        strings = np.empty(len(values), dtype=object)
        strings[:] = [bytes(bytes_of(value)) for _, value in values]
        return strings
    if datatype in {"FP32", "FP64"}:  # packed or one by one: the same bytes in a row
        return np.frombuffer(b"".join(bytes_of(value) for _, value in values), dtype=dtype)
    numbers: list[int] = []
    for kind, value in values:
        numbers += numbers_of(kind, value)
    if datatype == "FP16":
        return np.array(numbers, dtype="<u2").view(dtype)
    return np.array([signed(number) for number in numbers] if dtype.kind == "i" else numbers, dtype=dtype)


def _filled(elements: Array, count: int) -> Array:
    """With the last value, or zeros, in place of those that were left out."""
    missing = count - len(elements)
    if missing <= 0 or elements.dtype == object:
        return elements
    if count > _MOST_FILLED:
        raise MalformedAnswer(f"{count} elements, of which {len(elements)} were sent")
    last = elements[-1:] if len(elements) else np.zeros(1, dtype=elements.dtype)
    return np.concatenate([elements, np.repeat(last, missing)])


_MOST_FILLED: Final = 1 << 28
"""A few bytes must not ask for all of the memory."""
