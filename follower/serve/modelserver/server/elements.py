"""The elements of one tensor: from JSON, from bytes, and strings to bytes. Pure."""

import math
import struct
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from follower.serve.modelserver.server.refusal import Refused
from follower.serve.openinference.tensors import BYTES, BYTES_LENGTH_PREFIX, DTYPES

Array = npt.NDArray[Any]

_JSON_KINDS = {"b": "b", "u": "iu", "i": "iu", "f": "iuf"}
"""numpy kinds that JSON values may have, by the kind of the datatype: whole numbers pass as floats, not vice versa."""

_PYTHON_TYPES: dict[str, set[type]] = {"u": {int}, "i": {int}, "f": {int, float}}


def from_json(data: object, datatype: str, shape: Sequence[int], place: str) -> Array:
    """A tensor from JSON values, flat or nested in row-major order.

    Raises:
        Refused: wrong number of values, or values that the datatype cannot hold.
    """
    if not isinstance(data, list):
        raise Refused(f"{place}: data must be a list, but it is {type(data).__name__}")
    try:
        array = np.array(data, dtype=object if datatype == BYTES else None)
    except ValueError as error:
        raise Refused(f"{place}: data is nested unevenly") from error
    if array.size != math.prod(shape):
        raise Refused(f"{place}: shape {list(shape)} has {math.prod(shape)} elements, but data has {array.size}")
    if datatype == BYTES:
        return _texts(array.ravel(), place).reshape(shape)
    return _numbers(_of_kind(array, data, datatype, place).ravel(), datatype, place).reshape(shape)


def _texts(array: Array, place: str) -> Array:
    if not all(isinstance(value, str) for value in array):
        raise Refused(f"{place}: BYTES takes strings in JSON")
    return array


def _numbers(array: Array, datatype: str, place: str) -> Array:
    dtype = DTYPES[datatype]
    if dtype.kind in "iu" and array.size:
        bounds = np.iinfo(dtype)
        if int(array.min()) < bounds.min or int(array.max()) > bounds.max:
            raise Refused(f"{place}: data holds values outside of {datatype} ({bounds.min} to {bounds.max})")
    try:
        with np.errstate(over="ignore"):
            numbers = array.astype(dtype)
    except OverflowError as error:
        raise Refused(f"{place}: data holds values beyond {datatype}") from error
    if dtype.kind == "f" and not np.isfinite(numbers).all():
        raise Refused(f"{place}: data holds values beyond {datatype}")
    return numbers


def _of_kind(array: Array, data: list[Any], datatype: str, place: str) -> Array:
    """The values, as Python's own numbers where numpy found no common type or a lossy one (2**64 - 1 beside 0)."""
    kind = DTYPES[datatype].kind
    if not array.size or array.dtype.kind in _JSON_KINDS[kind]:
        return array
    exact = np.array(data, dtype=object)
    if kind == "b" or not all(type(value) in _PYTHON_TYPES[kind] for value in exact.ravel()):
        raise Refused(f"{place}: data holds values that are not {datatype}")
    return exact


def from_bytes(data: memoryview, datatype: str, shape: Sequence[int], place: str, *, text: bool = True) -> Array:
    """A tensor from its wire form; of the buffer's own memory where that is aligned for the datatype.

    ``text``: BYTES are UTF-8 and become str; otherwise they stay bytes.

    Raises:
        Refused: the length does not fit the shape.
    """
    if datatype == BYTES:
        return _strings(data, shape, place, text=text)
    dtype = DTYPES[datatype]
    expected = dtype.itemsize * math.prod(shape)
    if len(data) != expected:
        raise Refused(f"{place}: {datatype} of shape {list(shape)} takes {expected} bytes, but {len(data)} were sent")
    array: Array = np.frombuffer(data, dtype=dtype).reshape(shape)
    return array if array.flags.aligned else array.copy()


def _strings(data: memoryview, shape: Sequence[int], place: str, *, text: bool) -> Array:
    parts = list(_split_strings(data, place))
    if len(parts) != math.prod(shape):
        raise Refused(f"{place}: shape {list(shape)} has {math.prod(shape)} elements, but {len(parts)} were sent")
    array = np.empty(len(parts), dtype=object)
    array[:] = [_text(part, offset, place) for offset, part in parts] if text else [bytes(part) for _, part in parts]
    return array.reshape(shape)


def _split_strings(data: memoryview, place: str) -> Iterator[tuple[int, memoryview]]:
    """Where each string's length stands, and the string."""
    offset = 0
    while offset < len(data):
        start = offset + BYTES_LENGTH_PREFIX
        prefix = data[offset:start]
        length = int.from_bytes(prefix, "little")
        if len(prefix) < BYTES_LENGTH_PREFIX or start + length > len(data):
            raise Refused(f"{place}: the string at byte {offset} is cut off")
        yield offset, data[start : start + length]
        offset = start + length


def _text(part: memoryview, offset: int, place: str) -> str:
    try:
        return str(part, "utf-8")
    except UnicodeDecodeError as error:
        raise Refused(f"{place}: the string at byte {offset} is not UTF-8") from error


def bytes_from_array(array: Array) -> bytes:
    """The wire form of a tensor of strings."""
    encoded = [value if isinstance(value, bytes) else str(value).encode() for value in array.ravel()]
    return b"".join(struct.pack("<I", len(value)) + value for value in encoded)
