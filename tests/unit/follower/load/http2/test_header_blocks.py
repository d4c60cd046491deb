"""The request's constant block and the cache of the server's, against the hpack library without a cache."""

from collections.abc import Iterable

import hpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from follower.load.codec import MalformedResponse
from follower.load.http2.client import request_block
from follower.load.http2.header_blocks import HeaderDecoder, constant_block

NAMES = st.sampled_from([":status", "grpc-status", "grpc-message", "inferbench-queue-ns", "content-type"])
FIELDS = st.lists(
    st.tuples(NAMES, st.sampled_from(["", "0", "200", "12345", "application/grpc", "x" * 80])), max_size=4
)
BYTES = st.binary(min_size=1, max_size=300)


def merged(pairs: list[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """Names in lower case already; the values of a repeated one joined."""
    return {name: b", ".join(value for other, value in pairs if other == name) for name, _ in pairs}


@given(st.lists(st.tuples(BYTES, BYTES), max_size=5))
def test_any_decoder_reads_the_constant_block(fields: list[tuple[bytes, bytes]]) -> None:
    """Short and long strings, one after another."""
    assert list(hpack.Decoder().decode(constant_block(fields), raw=True)) == fields


def test_the_request_block_says_what_grpc_demands_and_touches_no_table() -> None:
    """The same bytes mean the same on every connection and at every time."""
    block = request_block(b"127.0.0.1:8001", b"/inference.GRPCInferenceService/ModelInfer")
    decoder = hpack.Decoder()
    for _ in range(2):
        assert list(decoder.decode(block, raw=True)) == [
            (b":method", b"POST"),
            (b":scheme", b"http"),
            (b":path", b"/inference.GRPCInferenceService/ModelInfer"),
            (b":authority", b"127.0.0.1:8001"),
            (b"content-type", b"application/grpc"),
            (b"te", b"trailers"),
        ]
        assert not decoder.header_table.dynamic_entries
    assert block[:2] == b"\x83\x86"  # method and scheme stand in the static table


@given(st.lists(st.tuples(FIELDS, st.booleans(), st.sampled_from([None, None, 0, 60, 200, 4096])), max_size=25))
def test_the_cache_never_changes_what_a_block_means(
    blocks: list[tuple[list[tuple[str, str]], bool, int | None]],
) -> None:
    """Few distinct blocks, an encoder that indexes, tables that shrink and grow: as without a cache."""
    encoder, plain, ours = hpack.Encoder(), hpack.Decoder(), HeaderDecoder()
    for fields, huffman, table_size in blocks:
        if table_size is not None:
            encoder.header_table_size = table_size
        block = encoder.encode(fields, huffman=huffman)
        assert ours.decode(block) == merged([(name, value) for name, value in plain.decode(block, raw=True)])


RAW_FIELDS = st.one_of(
    st.sampled_from([b"\x88", b"\xbe", b"\xbf", b"\xff\x00", b"\x80", b"\x20", b"\x40\x01a\x01b", b"\x0f\x10\x01x"]),
    st.tuples(st.sampled_from([b"\0", b"\x10"]), st.sampled_from([b"a", b"b", b"", b"n" * 130]), BYTES).map(
        lambda field: field[0] + constant_block([field[1:]])[1:]
    ),
)


@given(st.lists(st.lists(RAW_FIELDS, max_size=5), max_size=8), st.integers(0, 5))
def test_blocks_of_any_fields_mean_what_the_library_says(blocks: list[list[bytes]], cut_off: int) -> None:
    """Plain literals, indices known and unknown, repeated names, the last block cut off: the same, or refused."""
    plain, ours = hpack.Decoder(), HeaderDecoder()
    for position, fields in enumerate(blocks):
        block = b"".join(fields)
        block = block[: len(block) - cut_off] if position == len(blocks) - 1 else block
        try:
            expected = merged([(name, value) for name, value in plain.decode(block, raw=True)])
        except hpack.HPACKError:
            with pytest.raises(MalformedResponse):
                ours.decode(block)
            return
        assert ours.decode(block) == expected


def test_trailers_with_new_numbers_hardly_ever_need_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only for the indexed field, and that only when the cache was emptied: the library costs four times as much."""
    decoder = HeaderDecoder()
    decode, calls = decoder._decoder.decode, []

    def counted(data: bytes, *, raw: bool) -> Iterable[hpack.HeaderTuple]:
        calls.append(data)
        return decode(data, raw=raw)

    monkeypatch.setattr(decoder._decoder, "decode", counted)
    for value in range(630):
        block = b"\x88" + constant_block([(b"inferbench-queue-ns", b"%d" % value), (b"grpc-message", b"")])
        assert decoder.decode(block)[b"inferbench-queue-ns"] == b"%d" % value
    assert set(calls) == {b"\x88"}
    assert len(calls) <= 630 // 63 + 1


def test_a_repeated_block_is_decoded_once() -> None:
    """What leaves the table alone is remembered; the object is the same."""
    decoder = HeaderDecoder()
    assert decoder.decode(b"\x88") is decoder.decode(b"\x88")


def test_a_block_that_changes_the_table_makes_all_others_mean_something_else() -> None:
    """Index 62 is the newest entry: the same byte, another field."""
    decoder = HeaderDecoder()
    decoder.decode(b"\x40\x01a\x01b")
    assert decoder.decode(b"\xbe") == {b"a": b"b"}
    decoder.decode(b"\x40\x01c\x01d")
    assert decoder.decode(b"\xbe") == {b"c": b"d"}


def test_a_block_with_the_same_insertion_works_each_time() -> None:
    """Remembering it would leave its insertion out."""
    decoder = HeaderDecoder()
    for _ in range(2):
        decoder.decode(b"\x40\x01a\x01b")
    assert decoder.decode(b"\xbe\xbf") == {b"a": b"b, b"}


def test_an_insertion_into_a_full_table_changes_it_although_its_length_stays() -> None:
    """The oldest entry leaves: a block seen before means another field."""
    decoder = HeaderDecoder()
    decoder.decode(b"\x3f\x09" + b"\x40\x01a\x01b")  # room for 40 bytes: one entry of 34
    assert decoder.decode(b"\xbe") == {b"a": b"b"}
    decoder.decode(b"\x40\x01c\x01d")
    assert decoder.decode(b"\xbe") == {b"c": b"d"}


def test_a_block_that_only_sets_the_tables_size_is_obeyed_each_time() -> None:
    """Nothing leaves an empty table, but less fits into it afterwards."""
    decoder = HeaderDecoder()
    shrink, grow = b"\x3f\x09\x88", b"\x3f\xe1\x1f\x88"  # to 40, to 4096
    for block in (shrink, grow, shrink):
        assert decoder.decode(block) == {b":status": b"200"}
    decoder.decode(b"\x40\x01a\x01b" + b"\x40\x01c\x01d")
    assert decoder.decode(b"\xbe") == {b"c": b"d"}
    with pytest.raises(MalformedResponse):
        decoder.decode(b"\xbf")


def test_ever_new_blocks_do_not_fill_the_memory() -> None:
    """A trailer with a time in it is another one each time."""
    decoder = HeaderDecoder()
    for value in range(1000):
        decoder.decode(constant_block([(b"inferbench-queue-ns", b"%d" % value)]))
    assert len(decoder._known) <= 64


@given(st.binary(max_size=60))
def test_garbage_never_breaks_the_decoder_in_another_way(block: bytes) -> None:
    """Fields, or MalformedResponse."""
    try:
        HeaderDecoder().decode(block)
    except MalformedResponse:
        return


@pytest.mark.parametrize(
    "block",
    [
        b"\xff",
        b"\xbe",
        b"\x80",
        b"\x00\x05ab",
        b"\x00\x01a\x05bc",
        b"\x10\x01a",
        b"\x00\x01",
        b"\x3f\xff\xff\x7f",
        b"\x40\x01a\x81\x00",
    ],
)
def test_what_is_no_block_is_refused(block: bytes) -> None:
    """Cut off, an index of nothing, a table larger than allowed, wrong Huffman padding."""
    with pytest.raises(MalformedResponse):
        HeaderDecoder().decode(block)
