"""Requests larger than the server's windows, against a server that counts."""

from dataclasses import dataclass, field

import hpack
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import http2_peer as peer

from follower.load.http2.client import GrpcCodec, request_block
from follower.load.http2.windows import RECEIVE_WINDOW_BYTES, ReceiveWindow

BLOCK = request_block(b"h", b"/s/m")
INITIAL_BYTES = 65_535


@dataclass
class CountingServer:
    """Grants windows and checks that they are kept."""

    connection: int = INITIAL_BYTES
    initial: int = INITIAL_BYTES
    stream: int = INITIAL_BYTES
    max_frame: int = 16_384
    received: bytearray = field(default_factory=bytearray)
    ended: bool = False

    def take(self, data: bytes, stream: int) -> None:
        for said in peer.spoken(data):
            if said.kind != peer.DATA:
                continue
            assert said.stream == stream
            assert not self.ended
            assert 0 < len(said.payload) <= self.max_frame
            self.connection -= len(said.payload)
            self.stream -= len(said.payload)
            assert self.connection >= 0
            assert self.stream >= 0
            self.received += said.payload
            self.ended = bool(said.flags & peer.END_STREAM)

    def grant(self, what: str, size: int, stream: int) -> bytes:
        if what == "connection":
            self.connection += size
            return peer.window_update(0, size)
        if what == "stream":
            self.stream += size
            return peer.window_update(stream, size)
        if what == "initial":
            self.stream += size - self.initial
            self.initial = size
            return peer.settings((4, size))
        self.max_frame = 16_384 + size
        return peer.settings((5, 16_384 + size))


GRANTS = st.lists(
    st.tuples(st.sampled_from(["connection", "stream", "initial", "frame"]), st.integers(1, 90_000)), max_size=12
)


@given(size=st.integers(0, 300_000), grants=GRANTS)
def test_windows_are_kept_and_everything_is_sent_in_the_end(size: int, grants: list[tuple[str, int]]) -> None:
    """Also where a setting makes the stream's window negative, and over two calls that share the connection's."""
    codec, server = GrpcCodec(BLOCK, keep_body=False), CountingServer()
    codec.greeting()
    codec.feed(memoryview(peer.settings()))
    request, encoder = bytes(range(256)) * (size // 256) + b"x" * (size % 256) + b".", hpack.Encoder()
    for stream in (1, 3):
        server.stream, server.ended, server.received = server.initial, False, bytearray()
        server.take(bytes(codec.start(request)), stream)
        for what, amount in grants:
            if not codec.is_sent:
                assert not codec.feed(memoryview(server.grant(what, amount, stream)))
                server.take(codec.outgoing(), stream)
        while not codec.is_sent:
            assert not codec.feed(memoryview(server.grant("stream", 40_000, stream)))
            server.take(codec.outgoing(), stream)
            assert not codec.feed(memoryview(server.grant("connection", 40_000, stream)))
            server.take(codec.outgoing(), stream)
        assert bytes(server.received) == request
        assert server.ended
        assert codec.feed(memoryview(peer.answer(encoder, stream)))
        assert codec.keep_alive


def test_a_small_request_waits_too_where_the_window_is_used_up() -> None:
    """The header block goes out at once, the message with the first byte of room."""
    codec = GrpcCodec(BLOCK, keep_body=False)
    codec.feed(memoryview(peer.settings((4, 0))))
    assert [said.kind for said in peer.spoken(bytes(codec.start(b"question")))] == [peer.HEADERS]
    codec.outgoing()
    codec.feed(memoryview(peer.window_update(1, 3)))
    assert not codec.is_sent
    (first,) = peer.spoken(codec.outgoing())
    codec.feed(memoryview(peer.window_update(1, 100)))
    (second,) = peer.spoken(codec.outgoing())
    assert (first.payload, second.payload, first.flags, second.flags) == (b"que", b"stion", 0, peer.END_STREAM)


def test_small_requests_use_the_connections_window_up_too() -> None:
    """Four of 16,000 bytes fit into what a connection starts with; the fifth waits for room."""
    codec, encoder = GrpcCodec(BLOCK, keep_body=False), hpack.Encoder()
    codec.feed(memoryview(peer.settings()))
    sent = []
    for stream in (1, 3, 5, 7, 9):
        codec.start(b"x" * 16_000)
        sent.append(codec.is_sent)
        if codec.is_sent:
            codec.feed(memoryview(peer.answer(encoder, stream)))
    assert sent == [True, True, True, True, False]


@pytest.mark.parametrize("trailers", [(("grpc-status", "8"), ("grpc-message", "too large")), peer.TRAILERS])
def test_an_answer_before_the_end_of_the_request_spends_the_connection(trailers: tuple[tuple[str, str], ...]) -> None:
    """The stream is not closed on our side, and what is left will not be sent."""
    codec = GrpcCodec(BLOCK, keep_body=False)
    codec.feed(memoryview(peer.settings()))
    codec.start(b"x" * 100_000)
    assert not codec.is_sent
    assert codec.feed(memoryview(peer.answer(hpack.Encoder(), 1, b"enough", trailers)))
    assert not codec.keep_alive
    codec.outgoing()
    codec.feed(memoryview(peer.window_update(0, 100_000)))
    assert codec.outgoing() == b""


def test_a_refused_request_leaves_the_connection_usable_although_it_was_not_sent_whole() -> None:
    """The server has closed the stream for both sides."""
    codec = GrpcCodec(BLOCK, keep_body=False)
    codec.feed(memoryview(peer.settings()))
    codec.start(b"x" * 100_000)
    assert codec.feed(memoryview(peer.reset(1, 7) + peer.window_update(0, 65_535)))
    assert codec.keep_alive
    codec.outgoing()
    assert [said.kind for said in peer.spoken(bytes(codec.start(b"again")))] == [peer.HEADERS, peer.DATA]


def test_a_closed_streams_window_counts_no_more() -> None:
    """It was granted nearly all there is; a larger initial window is for the next stream."""
    codec = GrpcCodec(BLOCK, keep_body=False)
    codec.feed(memoryview(peer.settings()))
    codec.start(b"question")
    codec.feed(memoryview(peer.window_update(1, 2**31 - 100_000) + peer.answer(hpack.Encoder(), 1)))
    assert not codec.feed(memoryview(peer.settings((4, 2**31 - 1))))


@given(st.lists(st.integers(0, RECEIVE_WINDOW_BYTES // 3), max_size=20))
def test_what_is_announced_is_what_came_and_the_server_never_runs_dry(sizes: list[int]) -> None:
    """Increments sum to the bytes that came, and at least half of the window is always open."""
    window = ReceiveWindow()
    came = announced = 0
    for size in sizes:
        came += size
        announced += window.take(size)
        assert came - announced < RECEIVE_WINDOW_BYTES // 2
