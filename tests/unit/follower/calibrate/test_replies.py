"""The null server's answers: one for each request, however the bytes are cut."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from follower.calibrate.replies import GrpcReplies, HttpReplies, Script, replies_of, whole_length, with_prefix
from follower.load.http2 import frames
from follower.load.http2.client import GrpcCodec, request_block

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
REQUEST = b"POST /infer HTTP/1.1\r\nHost: h:1\r\ncontent-length: 7\r\n\r\n1234567"


def fed(replies: HttpReplies | GrpcReplies, stream: bytes, cuts: list[int]) -> bytes:
    """All that is said to a stream that comes in pieces."""
    edges = sorted({0, len(stream), *(cut % (len(stream) + 1) for cut in cuts)})
    pieces = [stream[start:end] for start, end in pairwise(edges)]
    return b"".join(replies.take(memoryview(piece)) for piece in pieces)


@given(st.integers(1, 5), st.lists(st.integers(0, 500), max_size=8))
def test_every_http_request_gets_the_answer_however_it_is_cut(count: int, cuts: list[int]) -> None:
    """Also where several come at once."""
    assert fed(HttpReplies(ANSWER), REQUEST * count, cuts) == ANSWER * count


def test_an_unfinished_http_request_gets_nothing() -> None:
    """Neither without the end of its head, nor without the last byte of its body."""
    replies = HttpReplies(ANSWER)
    assert replies.take(memoryview(REQUEST[:-1])) == b""
    assert replies.take(memoryview(REQUEST[-1:])) == ANSWER
    assert replies.take(memoryview(REQUEST[:10])) == b""


@pytest.mark.parametrize(
    ("request_", "length"),
    [
        (REQUEST, len(REQUEST)),
        (REQUEST + b"more", len(REQUEST)),
        (b"GET / HTTP/1.1\r\nHost: h\r\n\r\n", 27),
        (b"POST / HTTP/1.1\r\nX-Content-Length: 9\r\nContent-Length:3\r\n\r\n", 61),
        (REQUEST[:40], 0),
    ],
)
def test_a_requests_length_is_read_from_its_head(request_: bytes, length: int) -> None:
    """By the header of that very name, in any case; 0 while the head is not whole."""
    assert whole_length(request_) == length


@given(st.integers(0, 40_000), st.integers(0, 70_000), st.lists(st.integers(0, 200_000), max_size=8))
def test_a_grpc_client_gets_the_message_from_its_twin(request_bytes: int, message_bytes: int, cuts: list[int]) -> None:
    """Three calls on one connection; requests of several frames, answers of several frames, cut anyhow."""
    codec = GrpcCodec(request_block(b"h:1", b"/a/b"), keep_body=True)
    replies = GrpcReplies(with_prefix(b"m" * message_bytes))
    said = codec.greeting()
    for _ in range(3):
        said += codec.start(with_prefix(b"r" * request_bytes))
        for _ in range(20):
            answer = fed(replies, said, cuts)
            is_over = bool(answer) and codec.feed(memoryview(answer))
            said = codec.outgoing()
            if is_over:
                break
        assert (codec.status, codec.body) == (200, b"m" * message_bytes)


def test_pings_and_settings_are_acknowledged_and_acknowledgements_are_not() -> None:
    """Anything else is passed over."""
    replies = GrpcReplies(with_prefix(b""))
    replies.take(memoryview(frames.PREFACE))
    ping = frames.frame(frames.PING, 0, 0, b"12345678")
    assert replies.take(memoryview(frames.settings([]) + ping)) == frames.SETTINGS_ACK + frames.ping_ack(
        memoryview(b"12345678")
    )
    quiet = frames.SETTINGS_ACK + frames.ping_ack(memoryview(b"12345678")) + frames.window_update(0, 9)
    assert replies.take(memoryview(quiet)) == b""


def test_the_connections_window_is_opened_again_before_it_is_used_up() -> None:
    """A long trial of large requests must not stop for room."""
    replies = GrpcReplies(with_prefix(b""))
    replies.take(memoryview(frames.PREFACE))
    data = memoryview(frames.frame(frames.DATA, 0, 1, bytes(1 << 20)))
    said = [replies.take(data) for _ in range(1 << 10)]
    assert said[:-1] == [b""] * 1023
    assert said[-1] == frames.window_update(0, 1 << 30)


def test_the_script_says_which_of_the_two_answers() -> None:
    """By its protocol."""
    http = Script(protocol="http", request_bytes=1, response=b"x")
    grpc = Script(protocol="grpc", request_bytes=1, response=b"x")
    assert isinstance(replies_of(http), HttpReplies)
    assert isinstance(replies_of(grpc), GrpcReplies)
