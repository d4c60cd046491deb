"""Protocol Buffers' wire format, against the protobuf library's own encoder and values from its documentation."""

import pytest
from google.protobuf import descriptor_pb2  # type: ignore[import-untyped]
from hypothesis import given
from hypothesis import strategies as st

from follower.load.protobuf import (
    FIXED32,
    FIXED64,
    LENGTH,
    VARINT,
    WireError,
    bytes_of,
    fields,
    length_field,
    length_head,
    numbers_of,
    packed_varints,
    signed,
    varint,
)


def test_numbers_are_written_as_the_documentation_does() -> None:
    """150 is 96 01; -2 as an int64 takes ten bytes."""
    assert varint(150) == b"\x96\x01"
    assert varint(0) == b"\0"
    assert varint(-2) == b"\xfe" + b"\xff" * 8 + b"\x01"


@given(st.lists(st.integers(-(2**63), 2**63 - 1), max_size=20))
def test_signed_numbers_come_back(numbers: list[int]) -> None:
    """Packed one after another."""
    packed = b"".join(map(varint, numbers))
    assert [signed(value) for value in packed_varints(memoryview(packed))] == numbers


@given(st.lists(st.integers(0, 2**64 - 1), max_size=20))
def test_unsigned_numbers_come_back(numbers: list[int]) -> None:
    """Up to the last of 64 bits."""
    assert list(packed_varints(memoryview(b"".join(map(varint, numbers))))) == numbers


@given(st.text(max_size=300), st.lists(st.integers(-(2**31), 2**31 - 1), max_size=5))
def test_the_library_reads_what_we_write_and_the_other_way_round(name: str, paths: list[int]) -> None:
    """One of the library's own messages: a string field 1, packed int32 of fields inside."""
    location = length_field(1, b"".join(map(varint, paths))) + length_field(3, name.encode())
    theirs = descriptor_pb2.SourceCodeInfo.Location.FromString(location)
    assert (theirs.leading_comments, list(theirs.path)) == (name, paths)
    found = {number: value for number, _, value in fields(memoryview(theirs.SerializeToString()))}
    comment = found.get(3, memoryview(b""))
    packed = found.get(1, memoryview(b""))
    assert not isinstance(comment, int)
    assert not isinstance(packed, int)
    assert bytes(comment).decode() == name
    assert [signed(value) for value in packed_varints(packed)] == paths


def test_a_head_is_what_stands_before_the_bytes() -> None:
    """So that large data need not be copied twice."""
    assert length_head(7, 3) + b"abc" == length_field(7, b"abc")


def test_every_kind_of_field_is_walked_over() -> None:
    """Varint, eight bytes, length, four bytes."""
    data = b"\x08\x96\x01" + b"\x11abcdefgh" + b"\x1a\x02hi" + b"\x25wxyz"
    walked = [(n, kind, v if isinstance(v, int) else bytes(v)) for n, kind, v in fields(memoryview(data))]
    assert walked == [(1, VARINT, 150), (2, FIXED64, b"abcdefgh"), (3, LENGTH, b"hi"), (4, FIXED32, b"wxyz")]


def test_a_repeated_number_is_read_alone_or_packed() -> None:
    """Both are allowed for the same field; anything else is another kind."""
    assert numbers_of(VARINT, 150) == [150]
    assert numbers_of(LENGTH, memoryview(b"\x96\x01\x02")) == [150, 2]
    with pytest.raises(WireError, match="wire type 5"):
        numbers_of(FIXED32, memoryview(b"wxyz"))


def test_a_number_has_no_bytes() -> None:
    """Whatever a sender's schema says."""
    assert bytes(bytes_of(memoryview(b"hi"))) == b"hi"
    with pytest.raises(WireError, match="a number where bytes are promised"):
        bytes_of(150)


@pytest.mark.parametrize("data", [b"\x80", b"\x08", b"\x08" + b"\xff" * 10, b"\x0a\x02x", b"\x0d123", b"\x0b", b"\x0f"])
def test_what_is_cut_off_or_a_group_is_refused(data: bytes) -> None:
    """No field is guessed."""
    with pytest.raises(WireError):
        list(fields(memoryview(data)))


@given(st.binary(max_size=60))
def test_garbage_never_breaks_the_walk_in_another_way(data: bytes) -> None:
    """Fields, or WireError."""
    try:
        list(fields(memoryview(data)))
    except WireError:
        return
