"""Frames out of a stream in any split, and the fields of each kind, against bytes written by hand."""

from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import http2_peer as peer

from follower.load.codec import MalformedResponse
from follower.load.http2 import frames
from follower.load.http2.frame_reader import FrameReader

KINDS = st.integers(0, 255)
FRAMES = st.lists(st.tuples(KINDS, KINDS, st.integers(0, 2**31 - 1), st.binary(max_size=40)), max_size=8)


@given(FRAMES, st.lists(st.integers(0, 500), max_size=12))
def test_any_split_gives_the_same_frames(expected: list[tuple[int, int, int, bytes]], cuts: list[int]) -> None:
    """In order, each once, whatever the pieces."""
    data = b"".join(peer.frame(*one) for one in expected)
    reader = FrameReader(16_384)
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    found = [
        (kind, flags, stream, bytes(payload))
        for start, end in pairwise(edges)
        for kind, flags, stream, payload in reader.feed(memoryview(data[start:end]))
    ]
    assert found == expected


def test_a_frame_comes_with_its_last_byte() -> None:
    """Byte by byte, and not before."""
    data = peer.frame(peer.PING, 0, 0, b"12345678")
    reader = FrameReader(16_384)
    assert [len(reader.feed(memoryview(data[i : i + 1]))) for i in range(len(data))] == [0] * (len(data) - 1) + [1]


def test_the_reserved_bit_of_a_stream_is_ignored() -> None:
    """RFC 9113, section 4.1."""
    for cut in (0, 3):
        reader = FrameReader(16_384)
        data = b"\0\0\0\x08\0\x80\0\0\x05"
        (one,) = [*reader.feed(memoryview(data[:cut])), *reader.feed(memoryview(data[cut:]))]
        assert one[2] == 5


@pytest.mark.parametrize("cut", [0, 1, 9])
def test_a_frame_above_the_limit_is_refused_before_it_has_come(cut: int) -> None:
    """The header is enough to know."""
    reader = FrameReader(16_384)
    data = (16_385).to_bytes(3) + b"\0\0\0\0\0\x01"
    with pytest.raises(MalformedResponse, match="16385"):
        _ = [reader.feed(memoryview(data[:cut])), reader.feed(memoryview(data[cut:]))]


def test_padding_and_priority_are_taken_off() -> None:
    """Only what the flags announce."""
    payload = memoryview(peer.padded(b"abcdefg", 3))
    assert frames.unpadded(0, payload) == payload
    assert bytes(frames.unpadded(peer.PADDED, payload)) == b"abcdefg"
    assert bytes(frames.header_fragment(peer.PADDED | peer.PRIORITISED, payload)) == b"fg"
    assert bytes(frames.unpadded(peer.PADDED, memoryview(b"\0"))) == b""


def test_settings_come_as_pairs_and_unknown_ones_pass() -> None:
    """A receiver ignores what it does not know."""
    payload = memoryview(peer.settings((4, 70_000), (5, 16_384), (0xFE03, 1))[9:])
    assert list(frames.read_settings(payload)) == [(4, 70_000), (5, 16_384), (0xFE03, 1)]


def test_error_codes_have_the_names_of_the_rfc() -> None:
    """And a code that nobody knows is shown as a number."""
    assert (frames.error_name(7), frames.error_name(11)) == ("REFUSED_STREAM", "ENHANCE_YOUR_CALM")
    assert frames.error_name(0x1234) == "error 0x1234"


@pytest.mark.parametrize(
    ("read", "payload"),
    [
        (lambda data: frames.unpadded(peer.PADDED, data), b""),
        (lambda data: frames.unpadded(peer.PADDED, data), b"\x03ab"),
        (lambda data: frames.header_fragment(peer.PRIORITISED, data), b"1234"),
        (lambda data: list(frames.read_settings(data)), b"12345"),
        (lambda data: list(frames.read_settings(data)), b"\0\x04\x80\0\0\0"),
        (lambda data: list(frames.read_settings(data)), b"\0\x05\0\0\x3f\xff"),
        (lambda data: list(frames.read_settings(data)), b"\0\x05\x01\0\0\0"),
        (frames.read_window_update, b"\0\0\0"),
        (frames.read_window_update, b"\x80\0\0\0"),
        (frames.read_reset, b"\0\0\0\0\0"),
        (frames.read_goaway, b"\0\0\0\0\0\0\0"),
        (frames.require_ping, b"1234567"),
    ],
)
def test_a_payload_that_breaks_its_frames_rules_is_refused(
    read: Callable[[memoryview], object], payload: bytes
) -> None:
    """Wrong length, or a value out of range."""
    with pytest.raises(MalformedResponse):
        read(memoryview(payload))
