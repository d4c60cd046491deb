"""Protocol Buffers' wire format, in memory: just what infer messages need. Pure.

Source: https://protobuf.dev/programming-guides/encoding/
"""

from collections.abc import Iterator
from typing import Final

VARINT: Final = 0
FIXED64: Final = 1
LENGTH: Final = 2
FIXED32: Final = 5

_MAX_VARINT_BYTES: Final = 10
_CONTINUES: Final = 0x80  # the bit that says a number goes on in the next byte
_TWO_TO_64: Final = 1 << 64
_FIXED_BYTES: Final = {FIXED64: 8, FIXED32: 4}

Value = int | memoryview
"""A varint's unsigned value, or the bytes of any other field."""


class WireError(ValueError):
    """The bytes are no well-formed message."""


def varint(value: int) -> bytes:
    """A number in base 128; a negative one as its two's complement in 64 bits."""
    value %= _TWO_TO_64
    digits = bytearray()
    while value >= _CONTINUES:
        digits.append(value & 0x7F | _CONTINUES)
        value >>= 7
    digits.append(value)
    return bytes(digits)


def length_field(number: int, data: bytes) -> bytes:
    """A field of bytes, a string, a message, or packed numbers."""
    return varint(number << 3 | LENGTH) + varint(len(data)) + data


def length_head(number: int, size_bytes: int) -> bytes:
    """What stands before the bytes of such a field."""
    return varint(number << 3 | LENGTH) + varint(size_bytes)


def fields(data: memoryview) -> Iterator[tuple[int, int, Value]]:
    """Number, wire type and value of each field, in the order in which they stand.

    Raises:
        WireError: a field is malformed, cut off, or a group (dropped from the format).
    """
    position = 0
    while position < len(data):
        tag, position = _varint_at(data, position)
        kind = tag & 7
        if kind == VARINT:
            value, position = _varint_at(data, position)
            yield tag >> 3, kind, value
            continue
        size = _FIXED_BYTES.get(kind)
        if kind == LENGTH:
            size, position = _varint_at(data, position)
        if size is None:
            raise WireError(f"wire type {kind}")
        end = position + size
        if end > len(data):
            raise WireError(f"field {tag >> 3} claims {size} bytes where {len(data) - position} are left")
        yield tag >> 3, kind, data[position:end]
        position = end


def packed_varints(data: memoryview) -> Iterator[int]:
    """The unsigned values of a packed repeated field.

    Raises:
        WireError: the last one is cut off.
    """
    position = 0
    while position < len(data):
        value, position = _varint_at(data, position)
        yield value


def bytes_of(value: Value) -> memoryview:
    """The value of a field of bytes, a string, or a message.

    Raises:
        WireError: it is a number.
    """
    if isinstance(value, int):
        raise WireError("a number where bytes are promised")
    return value


def numbers_of(kind: int, value: Value) -> list[int]:
    """One number, or packed ones, unsigned: a repeated field's value of this wire type.

    Raises:
        WireError: it is neither.
    """
    if isinstance(value, int):
        return [value]
    if kind != LENGTH:
        raise WireError(f"wire type {kind} where {VARINT} or {LENGTH} is promised")
    return list(packed_varints(value))


def signed(value: int) -> int:
    """An int32 or int64 from its unsigned 64 bits."""
    return value - _TWO_TO_64 if value >= _TWO_TO_64 >> 1 else value


def _varint_at(data: memoryview, position: int) -> tuple[int, int]:
    """The unsigned value at ``position``, and the position after it."""
    value = 0
    for index, byte in enumerate(data[position : position + _MAX_VARINT_BYTES]):
        value |= (byte & 0x7F) << (7 * index)
        if byte < _CONTINUES:
            return value % _TWO_TO_64, position + index + 1
    raise WireError(f"no number ends at byte {position}")
