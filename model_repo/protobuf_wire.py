"""Reads Protocol Buffers' wire format from a seekable file, field by field, in bounded memory.

Only tags, varints and lengths are read; the bytes of a field are read only when asked for, and only up to a limit.
Source of the format: https://protobuf.dev/programming-guides/encoding/
"""

import os
from collections.abc import Iterator
from enum import IntEnum
from typing import BinaryIO, Final, NamedTuple

CHUNK_BYTES: Final = 64 * 1024
MAX_VARINT_BYTES: Final = 10
CONTINUES: Final = 0x80  # the bit that says a number goes on in the next byte
MAX_FIELD_NUMBER: Final = 2**29 - 1


class WireError(ValueError):
    """The bytes are not well-formed, or more than the reader was told to accept."""


class WireType(IntEnum):
    """How a field's value is laid out. Groups (3, 4) were dropped from the format and are refused."""

    VARINT = 0
    FIXED64 = 1
    LENGTH = 2
    FIXED32 = 5


class Field(NamedTuple):
    """One field of a message: the half-open byte range of its value, and the value itself where it is a varint."""

    number: int
    wire_type: int
    start: int
    end: int
    varint: int


class WireReader:
    """A window of one chunk that moves over the file. At most ``max_fields`` fields are ever looked at."""

    def __init__(self, file: BinaryIO, *, max_fields: int) -> None:
        self._file = file
        self._chunk = b""
        self._chunk_start = 0
        self._fields_left = max_fields
        self.size = file.seek(0, os.SEEK_END)

    def fields(self, start: int, end: int) -> Iterator[Field]:
        """The fields of the message in ``[start, end)``, in file order.

        Raises:
            WireError: A tag, varint or length is malformed or reaches past ``end``.
        """
        position = start
        while position < end:
            self._fields_left -= 1
            if self._fields_left < 0:
                raise WireError("more fields than any real model has")
            field = self._field_at(position, end)
            yield field
            position = field.end

    def varints(self, start: int, end: int, *, limit: int) -> Iterator[int]:
        """The values of a packed repeated field, at most ``limit`` of them."""
        position = start
        for _ in range(limit):
            if position == end:
                return
            value, position = self._varint_at(position, end)
            yield value
        if position != end:
            raise WireError(f"more than {limit} values at byte {start}")

    def text(self, field: Field, *, limit: int) -> str:
        """The value of a string field of at most ``limit`` bytes."""
        size = field.end - field.start
        if size > limit:
            raise WireError(f"a name of {size} bytes at byte {field.start}; at most {limit} are accepted")
        try:
            return self._window(field.start, size)[:size].decode()
        except UnicodeDecodeError:
            raise WireError(f"a name at byte {field.start} is not UTF-8") from None

    def _field_at(self, position: int, end: int) -> Field:
        tag, start = self._varint_at(position, end)
        number, wire_type = tag >> 3, tag & 7
        if not 1 <= number <= MAX_FIELD_NUMBER:
            raise WireError(f"field number {number} at byte {position}")
        varint = 0
        match wire_type:
            case WireType.VARINT:
                varint, stop = self._varint_at(start, end)
            case WireType.LENGTH:
                length, start = self._varint_at(start, end)
                stop = start + length
            case WireType.FIXED64:
                stop = start + 8
            case WireType.FIXED32:
                stop = start + 4
            case _:
                raise WireError(f"wire type {wire_type} at byte {position}")
        if stop > end:
            raise WireError(f"the field at byte {position} claims {stop - start} bytes where {end - start} are left")
        return Field(number, wire_type, start, stop, varint)

    def _varint_at(self, position: int, end: int) -> tuple[int, int]:
        """The unsigned value at ``position`` and the position after it."""
        offset = position - self._chunk_start
        if position < end and 0 <= offset < len(self._chunk) and (byte := self._chunk[offset]) < CONTINUES:
            return byte, position + 1  # the usual case, in half the time
        window = self._window(position, min(MAX_VARINT_BYTES, end - position))
        value = 0
        for index, byte in enumerate(window):
            value |= (byte & 0x7F) << (7 * index)
            if byte < CONTINUES:
                return value, position + index + 1
        raise WireError(f"no number ends at byte {position}")

    def _window(self, position: int, size: int) -> bytes:
        """The ``size`` bytes at ``position``; fewer only at the end of the file."""
        offset = position - self._chunk_start
        if offset < 0 or offset + size > len(self._chunk):
            self._file.seek(position)
            self._chunk = self._file.read(max(CHUNK_BYTES, size))
            self._chunk_start, offset = position, 0
        return self._chunk[offset : offset + size]
