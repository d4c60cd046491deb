"""The wire reader against protobuf's own encoder and against numbers worked out by hand."""

from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto

from model_repo.protobuf_wire import CHUNK_BYTES, Field, WireError, WireReader, WireType


def reader(content: bytes, max_fields: int = 1000) -> WireReader:
    """A reader over these bytes."""
    return WireReader(BytesIO(content), max_fields=max_fields)


def fields(content: bytes, max_fields: int = 1000) -> list[Field]:
    """All fields of the message that these bytes are."""
    return list(reader(content, max_fields).fields(0, len(content)))


def test_the_published_example_reads_as_published() -> None:
    """08 96 01 is field 1 with the number 150 (protobuf's encoding guide)."""
    assert fields(b"\x08\x96\x01") == [Field(1, WireType.VARINT, 1, 3, 150)]


def test_every_wire_type_is_stepped_over() -> None:
    """Varint, 64 bits, length and 32 bits, one after the other."""
    content = b"\x08\x01" + b"\x11" + bytes(8) + b"\x1a\x03abc" + b"\x25" + bytes(4)
    assert [(field.number, field.end - field.start) for field in fields(content)] == [(1, 1), (2, 8), (3, 3), (4, 4)]


@given(
    st.lists(st.integers(-(2**63), 2**63 - 1), max_size=20), st.text(max_size=300), st.binary(max_size=3 * CHUNK_BYTES)
)
def test_what_protobuf_writes_is_read_back(dims: list[int], name: str, raw: bytes) -> None:
    """Numbers of all sizes, text, and data that spans several chunks."""
    content = TensorProto(dims=dims, name=name, raw_data=raw).SerializeToString()
    walk = reader(content)
    found = list(walk.fields(0, len(content)))
    assert [field.varint for field in found if field.number == 1] == [value % 2**64 for value in dims]
    assert [walk.text(field, limit=2000) for field in found if field.number == 8] == [name]
    assert [content[field.start : field.end] for field in found if field.number == 9] == [raw]


@given(st.lists(st.integers(0, 2**31 - 1), min_size=1, max_size=50))
def test_packed_numbers_are_read_back(values: list[int]) -> None:
    """int32_data is packed: all numbers in one field."""
    content = TensorProto(int32_data=values).SerializeToString()
    walk = reader(content)
    (field,) = walk.fields(0, len(content))
    assert list(walk.varints(field.start, field.end, limit=50)) == values
    with pytest.raises(WireError, match="more than"):
        list(walk.varints(field.start, field.end, limit=len(values) - 1))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"\x08", "no number ends"),
        (b"\x08" + b"\x80" * 10 + b"\x01", "no number ends"),
        (b"\x1a\x05abc", "claims 5 bytes where 3 are left"),
        (b"\x11abc", "claims 8 bytes where 3 are left"),
        (b"\x00\x01", "field number 0"),
        (b"\x0b", "wire type 3"),
        (b"\x0f", "wire type 7"),
    ],
)
def test_malformed_bytes_are_refused_with_their_reason(content: bytes, reason: str) -> None:
    """The message says what is wrong and where."""
    with pytest.raises(WireError, match=reason):
        fields(content)


def test_a_message_ends_where_its_parent_says() -> None:
    """A number that would run on into the next message is cut off, even though the file goes on."""
    walk = reader(b"\x08\x96\x01")
    with pytest.raises(WireError, match="no number ends"):
        list(walk.fields(0, 2))


def test_the_number_of_fields_is_limited() -> None:
    """Exactly as many as allowed pass."""
    assert len(fields(b"\x08\x01" * 5, max_fields=5)) == 5
    with pytest.raises(WireError, match="more fields"):
        fields(b"\x08\x01" * 6, max_fields=5)
