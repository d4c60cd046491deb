"""One bounded pass over an ONNX file: collects what ``onnx_schema`` names and hands each message to its reader."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from model_repo.onnx_schema import LAYOUTS, Layout
from model_repo.protobuf_wire import Field, WireError, WireReader, WireType

MAX_DEPTH: Final = 100  # nested messages; protobuf's own default
MAX_TEXT_BYTES: Final = 1 << 20  # one name or metadata value
MAX_KEPT_BYTES: Final = 128 << 20  # all of them, with what each costs beside its text
KEPT_OVERHEAD_BYTES: Final = 128
MAX_DIMENSIONS: Final = 64

Leaves = dict[str, list[Any]]
"""The values found in one message, by field name."""

Readers = Mapping[str, Callable[[Leaves], Any]]
"""By message type: what the parent should know of a message; ``None`` is not kept. Without a reader: its leaves."""


class Walk:
    """Depth, the number of fields and the text kept are bounded; what is over a bound ends as ``WireError``."""

    def __init__(self, reader: WireReader, readers: Readers) -> None:
        self._reader = reader
        self._readers = readers
        self._kept_bytes = 0

    def model(self) -> Leaves:
        """Walks the whole file.

        Raises:
            WireError: The bytes are not one well-formed message, or exceed a bound.
        """
        leaves: Leaves = self._message("ModelProto", 0, self._reader.size, 0)
        return leaves

    def _message(self, kind: str, start: int, end: int, depth: int) -> Any:
        if depth > MAX_DEPTH:
            raise WireError(f"messages nested more than {MAX_DEPTH} deep at byte {start}")
        layout = LAYOUTS[kind]
        leaves: Leaves = {}
        for field in self._reader.fields(start, end):
            if field.number in layout.children:
                self._child(layout, field, leaves, depth)
            else:
                self._leaf(layout, field, leaves)
        reader = self._readers.get(kind)
        return reader(leaves) if reader else leaves

    def _child(self, layout: Layout, field: Field, leaves: Leaves, depth: int) -> None:
        _expect(field, WireType.LENGTH)
        name, kind = layout.children[field.number]
        value = self._message(kind, field.start, field.end, depth + 1)
        if value is not None:
            self._keep(0)
            leaves.setdefault(name, []).append(value)

    def _leaf(self, layout: Layout, field: Field, leaves: Leaves) -> None:
        number = field.number
        if number in layout.texts:
            _expect(field, WireType.LENGTH)
            self._keep(field.end - field.start)
            _once(leaves, layout.texts[number], self._reader.text(field, limit=MAX_TEXT_BYTES))
        elif number in layout.numbers:
            for value in self._numbers(field):
                _once(leaves, layout.numbers[number], value)
        elif number in layout.lists:
            values = leaves.setdefault(layout.lists[number], [])
            values.extend(self._numbers(field))
            if len(values) > MAX_DIMENSIONS:
                raise WireError(f"more than {MAX_DIMENSIONS} dimensions at byte {field.start}")
        elif number in layout.sizes:
            leaves.setdefault(layout.sizes[number], [0])[0] += field.end - field.start

    def _numbers(self, field: Field) -> Iterator[int]:
        """The values of an integer field, packed or not, as int64."""
        if field.wire_type == WireType.LENGTH:
            values = self._reader.varints(field.start, field.end, limit=MAX_DIMENSIONS)
        else:
            _expect(field, WireType.VARINT)
            values = iter((field.varint,))
        return map(_signed, values)

    def _keep(self, size: int) -> None:
        """Counts what stays in memory until the end of the walk."""
        self._kept_bytes += size + KEPT_OVERHEAD_BYTES
        if self._kept_bytes > MAX_KEPT_BYTES:
            raise WireError("more names than any real model has")


def _expect(field: Field, wire_type: WireType) -> None:
    if field.wire_type != wire_type:
        raise WireError(f"field {field.number} has the wrong wire type {field.wire_type} at byte {field.start}")


def _once(leaves: Leaves, name: str, value: str | int) -> None:
    """Parsers take the last of several values; refusing them leaves no room to show one and mean another."""
    if name in leaves:
        raise WireError(f"a message has more than one {name}")
    leaves[name] = [value]


def _signed(value: int) -> int:
    value &= (1 << 64) - 1
    return value - (1 << 64) if value >> 63 else value
