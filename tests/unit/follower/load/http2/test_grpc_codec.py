"""Calls over one connection: any split, and everything a server may say beside its answers."""

from itertools import pairwise

import hpack
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import http2_peer as peer

from follower.load.codec import Codec, MalformedResponse, ResponseReset
from follower.load.http2.client import GrpcCodec, request_block

BLOCK = request_block(b"127.0.0.1:8001", b"/s/m")
REQUEST = peer.prefixed(b"question")


def codec_of(*, next_stream: int = 1, settings: bytes = peer.settings()) -> GrpcCodec:
    """A connection whose server has said its settings."""
    codec = GrpcCodec(BLOCK, keep_body=True, next_stream=next_stream)
    codec.greeting()
    assert not codec.feed(memoryview(settings))
    codec.outgoing()
    return codec


def called(*, next_stream: int = 1) -> GrpcCodec:
    """The same with a request under way."""
    codec = codec_of(next_stream=next_stream)
    codec.start(REQUEST)
    return codec


def feed(codec: Codec, data: bytes, cuts: list[int] | None = None) -> list[bool]:
    """Feeds the bytes in pieces, each from memory that is overwritten afterwards, as a receive buffer is."""
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts or []), len(data)]
    said = []
    for start, end in pairwise(edges):
        if end > start:
            buffer = bytearray(data[start:end])
            said.append(codec.feed(memoryview(buffer)))
            buffer[:] = b"\xaa" * len(buffer)
    return said


Part = tuple[int, int, bool, bytes]
"""Type, flags, whether the frame is of the call's stream (not of the connection), payload."""

ASIDES: st.SearchStrategy[Part] = st.sampled_from(
    [
        (peer.PING, 0, False, b"12345678"),
        (peer.PING, peer.ACK, False, b"12345678"),
        (peer.SETTINGS, 0, False, b"\0\x04\0\x01\x86\xa0"),
        (peer.SETTINGS, peer.ACK, False, b""),
        (peer.WINDOW_UPDATE, 0, False, b"\0\0\0\x05"),
        (peer.WINDOW_UPDATE, 0, True, b"\0\0\0\x05"),
        (peer.PRIORITY, 0, True, b"12345"),
        (0xBE, 0xFF, True, b"nobody knows this frame"),
        (peer.DATA, 0, True, b""),
    ]
)


@st.composite
def answers(draw: st.DrawFn) -> tuple[bytes, list[Part]]:
    """A message, and the frames of an answer with it, in one of the many ways there are."""
    message = draw(st.binary(max_size=200))
    block = hpack.Encoder().encode([(":status", "200"), ("content-type", "application/grpc")])
    trailers = hpack.Encoder().encode([("grpc-status", "0"), ("inferbench-queue-ns", "42")])
    parts = headers(draw, hpack.Encoder().encode([(":status", "103")]), 0) if draw(st.booleans()) else []
    parts += headers(draw, block, 0)
    data = peer.prefixed(message)
    while data:
        size = draw(st.integers(1, len(data)))
        padding = draw(st.none() | st.integers(0, 20))
        payload = data[:size] if padding is None else peer.padded(data[:size], padding)
        parts += [(peer.DATA, 0 if padding is None else peer.PADDED, True, payload)]
        parts += draw(st.lists(ASIDES, max_size=2))
        data = data[size:]
    return message, parts + headers(draw, trailers, peer.END_STREAM)


def headers(draw: st.DrawFn, block: bytes, flags: int) -> list[Part]:
    """A header block in one frame or several, with or without padding and priority."""
    cut = draw(st.integers(0, len(block)))
    first = block[:cut]
    if draw(st.booleans()):
        first, flags = b"prio!" + first, flags | peer.PRIORITISED
    if draw(st.booleans()):
        first, flags = peer.padded(first, 7), flags | peer.PADDED
    if cut == len(block):
        return [(peer.HEADERS, flags | peer.END_HEADERS, True, first)]
    return [
        (peer.HEADERS, flags, True, first),
        (peer.CONTINUATION, 0, True, b""),
        (peer.CONTINUATION, peer.END_HEADERS, True, block[cut:]),
    ]


@given(st.lists(st.tuples(answers(), st.lists(st.integers(0, 600), max_size=10)), min_size=1, max_size=4))
def test_any_split_of_any_rendering_gives_the_same_answers(
    calls: list[tuple[tuple[bytes, list[Part]], list[int]]],
) -> None:
    """One call after another on one connection: complete exactly with the last byte, whatever the pieces."""
    codec = codec_of()
    for number, ((message, parts), cuts) in enumerate(calls):
        codec.start(REQUEST)
        stream = 2 * number + 1
        frames = [peer.frame(kind, flags, stream if own else 0, payload) for kind, flags, own, payload in parts]
        said = feed(codec, b"".join(frames), cuts)
        assert said == [False] * (len(said) - 1) + [True]
        assert (codec.status, codec.body, codec.number(b"inferbench-queue-ns")) == (200, message, 42)
        assert codec.keep_alive
        assert not codec.is_unprocessed
        codec.outgoing()


@given(st.binary(max_size=200), st.lists(st.integers(0, 200), max_size=5), st.booleans())
def test_garbage_never_breaks_the_codec_in_another_way(data: bytes, cuts: list[int], greeted: bool) -> None:
    """Any bytes are an answer, the beginning of one, or MalformedResponse."""
    codec = called() if greeted else GrpcCodec(BLOCK, keep_body=True)
    try:
        feed(codec, data, cuts)
    except MalformedResponse:
        return


@given(
    st.lists(st.tuples(st.integers(0, 10), st.integers(0, 255), st.integers(0, 3), st.binary(max_size=30)), max_size=8)
)
def test_well_formed_frames_without_sense_are_malformed_at_worst(frames: list[tuple[int, int, int, bytes]]) -> None:
    """Any frame at any time."""
    try:
        feed(called(), b"".join(peer.frame(*one) for one in frames))
    except MalformedResponse:
        return


def test_the_greeting_gives_the_server_much_room_and_forbids_pushes() -> None:
    """Preface, settings, a window of a gibibyte for each stream and for the connection."""
    greeting = GrpcCodec(BLOCK, keep_body=False).greeting()
    assert greeting.startswith(peer.PREFACE)
    settings, update = peer.spoken(greeting.removeprefix(peer.PREFACE))
    assert settings.payload == b"\0\x02\0\0\0\0" + b"\0\x04" + (1 << 30).to_bytes(4)
    assert (update.kind, update.stream, int.from_bytes(update.payload)) == (peer.WINDOW_UPDATE, 0, (1 << 30) - 65_535)


def test_requests_take_odd_streams_one_after_another() -> None:
    """HEADERS with the constant block, then the message, which ends the stream."""
    codec, encoder = codec_of(), hpack.Encoder()
    for stream in (1, 3, 5):
        head, data = peer.spoken(bytes(codec.start(REQUEST)))
        assert (head.kind, head.flags, head.stream, head.payload) == (peer.HEADERS, peer.END_HEADERS, stream, BLOCK)
        assert (data.kind, data.flags, data.stream, data.payload) == (peer.DATA, peer.END_STREAM, stream, REQUEST)
        assert codec.is_sent
        assert feed(codec, peer.answer(encoder, stream)) == [True]


def test_a_server_that_does_not_begin_with_its_settings_is_no_http2_server() -> None:
    """Such as one that speaks HTTP/1.1."""
    acknowledgement, ping = peer.frame(peer.SETTINGS, peer.ACK, 0), peer.frame(peer.PING, 0, 0, b"12345678")
    for data in (b"HTTP/1.1 400 Bad Request\r\n\r\n", ping, acknowledgement):
        with pytest.raises(MalformedResponse):
            feed(GrpcCodec(BLOCK, keep_body=False), data)


def test_settings_and_pings_are_acknowledged_and_acknowledgements_are_not() -> None:
    """Each once, in order, with the ping's own bytes; also between two exchanges."""
    codec = codec_of()
    ping = peer.frame(peer.PING, 0, 0, b"abcdefgh")
    acks = peer.frame(peer.PING, peer.ACK, 0, b"abcdefgh") + peer.frame(peer.SETTINGS, peer.ACK, 0)
    assert feed(codec, ping + acks + peer.settings((5, 20_000))) == [False]
    first, second = peer.spoken(codec.outgoing())
    assert (first.kind, first.flags, first.payload) == (peer.PING, peer.ACK, b"abcdefgh")
    assert (second.kind, second.flags, second.payload) == (peer.SETTINGS, peer.ACK, b"")
    assert codec.outgoing() == b""


def test_room_is_given_again_once_half_of_it_is_used() -> None:
    """On the connection and on the stream; padding counts."""
    codec = called()
    half = 1 << 29
    codec._receive_connection._used_bytes = half - 10
    codec._receive_stream._used_bytes = half - 11
    encoder = hpack.Encoder()
    feed(codec, peer.frame(peer.HEADERS, peer.END_HEADERS, 1, encoder.encode(peer.HEAD)))
    feed(codec, peer.frame(peer.DATA, peer.PADDED, 1, peer.padded(b"\0\0\0\0", 4)))
    assert codec.outgoing() == b""
    feed(codec, peer.frame(peer.DATA, 0, 1, b"\x02"))
    assert peer.spoken(codec.outgoing()) == peer.spoken(peer.window_update(0, half))
    feed(codec, peer.frame(peer.DATA, 0, 1, b"x"))
    assert peer.spoken(codec.outgoing()) == peer.spoken(peer.window_update(1, half))


def test_each_stream_has_a_window_of_its_own() -> None:
    """What the last call used of its window does not count for the next."""
    codec, encoder = called(), hpack.Encoder()
    codec._receive_stream._used_bytes = (1 << 29) - 20
    feed(codec, peer.answer(encoder, 1))
    codec.start(REQUEST)
    feed(codec, peer.answer(encoder, 3, b"x" * 100))
    assert codec.outgoing() == b""


@pytest.mark.parametrize("between", [False, True])
def test_after_goaway_the_connection_is_not_used_again(between: bool) -> None:
    """In mid-exchange the answer is still awaited; between exchanges nothing is lost."""
    codec = called()
    if between:
        assert feed(codec, peer.answer(hpack.Encoder(), 1)) == [True]
        assert codec.keep_alive
        assert feed(codec, peer.goaway(1)) == [False]
    else:
        assert feed(codec, peer.goaway(2**31 - 1) + peer.goaway(1)) == [False]
        assert feed(codec, peer.answer(hpack.Encoder(), 1)) == [True]
    assert (codec.status, codec.body, codec.keep_alive, codec.is_unprocessed) == (200, b"hello", False, False)


def test_a_request_above_goaways_last_stream_was_not_looked_at() -> None:
    """It is safe to send it again, on another connection."""
    codec = called(next_stream=7)
    assert feed(codec, peer.goaway(5, 11)) == [True]
    assert (codec.status, codec.is_unprocessed, codec.keep_alive) == (0, True, False)
    assert codec.explanation == "the server did not process the request"


def test_a_refused_stream_was_not_looked_at_and_the_connection_goes_on() -> None:
    """RFC 9113, section 8.7; the next call finds nothing of it left."""
    codec = called()
    assert feed(codec, peer.reset(1, 7)) == [True]
    assert (codec.status, codec.is_unprocessed, codec.keep_alive) == (0, True, True)
    codec.start(REQUEST)
    assert not codec.is_unprocessed
    assert feed(codec, peer.answer(hpack.Encoder(), 3)) == [True]


@pytest.mark.parametrize(("code", "name"), [(0, "NO_ERROR"), (2, "INTERNAL_ERROR"), (8, "CANCEL")])
def test_any_other_reset_breaks_the_exchange_off(code: int, name: str) -> None:
    """An error of its own kind, that names the server's reason."""
    with pytest.raises(ResponseReset, match=name):
        feed(called(), peer.reset(1, code))


def test_what_is_said_of_a_closed_stream_is_passed_over() -> None:
    """A server that answered early resets the stream afterwards; window updates may cross with the answer."""
    codec = called()
    assert feed(codec, peer.answer(hpack.Encoder(), 1) + peer.reset(1, 0) + peer.window_update(1, 9)) == [True]
    assert feed(codec, peer.reset(1, 7)) == [False]
    assert (codec.keep_alive, codec.is_unprocessed) == (True, False)


def test_a_connection_ends_with_its_last_stream() -> None:
    """Streams are numbered with 31 bits."""
    codec = called(next_stream=2**31 - 1)
    assert feed(codec, peer.answer(hpack.Encoder(), 2**31 - 1)) == [True]
    assert (codec.status, codec.keep_alive) == (200, False)


def test_the_end_of_the_connection_ends_no_answer() -> None:
    """The stream has to be ended by its own flag."""
    codec = called()
    feed(codec, peer.answer(hpack.Encoder(), 1)[:-1])
    assert not codec.feed_eof()


def test_nothing_of_the_last_answer_is_left() -> None:
    """A new exchange has no status, no numbers and no body before its own answer."""
    codec, encoder = called(), hpack.Encoder()
    feed(codec, peer.answer(encoder, 1, b"old", [("grpc-status", "0"), ("inferbench-queue-ns", "7")]))
    assert codec.number(b"inferbench-queue-ns") == 7
    codec.start(REQUEST)
    assert (codec.status, codec.number(b"inferbench-queue-ns"), codec.body) == (0, None, b"")


def test_header_fields_that_fill_more_than_a_frame_are_refused() -> None:
    """A path of 20 kB is no path."""
    with pytest.raises(ValueError, match="header fields take"):
        GrpcCodec(request_block(b"h", b"/" * 20_000), keep_body=False)


HEAD_FRAME = peer.frame(peer.HEADERS, peer.END_HEADERS, 1, hpack.Encoder().encode(peer.HEAD))


@pytest.mark.parametrize(
    "data",
    [
        peer.frame(peer.DATA, 0, 3, b"x"),
        peer.frame(peer.HEADERS, peer.END_HEADERS, 3, b"\x88"),
        peer.frame(peer.HEADERS, peer.END_HEADERS, 0, b"\x88"),
        peer.frame(peer.HEADERS, peer.END_HEADERS, 1, b"\xff"),
        peer.frame(peer.HEADERS, 0, 1, b"\x88") + peer.frame(peer.PING, 0, 0, b"12345678"),
        peer.frame(peer.HEADERS, 0, 1, b"\x88") + peer.frame(peer.CONTINUATION, peer.END_HEADERS, 3, b""),
        peer.frame(peer.HEADERS, 0, 1, b"\x88") + 5 * peer.frame(peer.CONTINUATION, 0, 1, b"\x88" * 16_000),
        peer.frame(peer.CONTINUATION, peer.END_HEADERS, 1, b"\x88"),
        peer.frame(peer.PUSH_PROMISE, peer.END_HEADERS, 1, b"\0\0\0\x02\x88"),
        peer.frame(peer.SETTINGS, 0, 1),
        peer.frame(peer.SETTINGS, peer.ACK, 0, b"123456"),
        peer.frame(peer.PING, 0, 1, b"12345678"),
        peer.frame(peer.GOAWAY, 0, 1, b"12345678"),
        peer.reset(0, 7),
        peer.reset(2, 7),
        peer.reset(3, 7),
        peer.window_update(3, 1),
        peer.window_update(0, 0),
        peer.window_update(0, 2**31 - 1),
        peer.window_update(1, 2**31 - 1),
        peer.settings((4, 2**31 - 1)) + peer.window_update(1, 100),
        peer.answer(hpack.Encoder(), 1) + peer.frame(peer.DATA, 0, 1, b"more"),
        peer.answer(hpack.Encoder(), 1) + peer.frame(peer.HEADERS, peer.END_HEADERS, 1, b"\x88"),
        HEAD_FRAME + HEAD_FRAME,
    ],
)
def test_what_breaks_the_protocol_is_refused(data: bytes) -> None:
    """Wherever a guess would be needed."""
    with pytest.raises(MalformedResponse):
        feed(called(), data)
