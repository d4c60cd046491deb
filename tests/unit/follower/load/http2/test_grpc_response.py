"""What a gRPC answer means: every way in which a server may say success or failure."""

import hpack
import pytest
from support import http2_peer as peer

from follower.load.codec import MalformedResponse
from follower.load.http2.client import GrpcCodec, request_block

Pairs = tuple[tuple[str, str], ...]
FAILED: Pairs = (("grpc-status", "5"), ("grpc-message", "no such model %E2%9C%97"))


def codec() -> GrpcCodec:
    """A connection with a request under way."""
    made = GrpcCodec(request_block(b"h", b"/s/m"), keep_body=True)
    made.feed(memoryview(peer.settings()))
    made.start(peer.prefixed(b"question"))
    return made


def head(pairs: Pairs, *, ends: bool = False) -> bytes:
    """A header block in a frame."""
    flags = peer.END_HEADERS | (peer.END_STREAM if ends else 0)
    return peer.frame(peer.HEADERS, flags, 1, hpack.Encoder().encode(pairs))


def data(payload: bytes, *, ends: bool = False) -> bytes:
    """A DATA frame."""
    return peer.frame(peer.DATA, peer.END_STREAM if ends else 0, 1, payload)


def test_status_and_message_of_a_failure_come_from_the_trailers() -> None:
    """The message is percent-encoded UTF-8."""
    one = codec()
    assert one.feed(memoryview(head(peer.HEAD) + head(FAILED, ends=True)))
    assert (one.status, one.keep_alive, one.body) == (599, True, b"")
    assert one.explanation == "grpc-status 5: no such model ✗"


def test_a_failure_may_come_as_trailers_only() -> None:
    """In the place of the headers; numbers are found there too."""
    one = codec()
    assert one.feed(memoryview(head((*peer.HEAD, *FAILED, ("inferbench-queue-ns", "9")), ends=True)))
    assert (one.status, one.number(b"inferbench-queue-ns")) == (599, 9)


def test_a_failure_after_a_message_is_a_failure() -> None:
    """The status counts, not that something came."""
    one = codec()
    assert one.feed(memoryview(head(peer.HEAD) + data(peer.prefixed(b"half")) + head(FAILED, ends=True)))
    assert one.status == 599


@pytest.mark.parametrize("ends", [False, True])
def test_a_proxys_answer_keeps_its_http_status(ends: bool) -> None:
    """It is no gRPC answer; its body is passed over."""
    one = codec()
    rest = b"" if ends else data(b"<html>Bad gateway</html>", ends=True)
    assert one.feed(memoryview(head(((":status", "502"), ("content-type", "text/html")), ends=ends) + rest))
    assert (one.status, one.explanation) == (502, "status 502")


def test_numbers_of_headers_and_trailers_are_found_and_trailers_win() -> None:
    """Anything but a few digits is no number."""
    one = codec()
    trailers = (*peer.TRAILERS, ("a", "2"), ("b", "-1"), ("c", "9" * 19), ("d", ""))
    said = head((*peer.HEAD, ("a", "1"), ("e", "5"))) + data(peer.prefixed(b"")) + head(trailers, ends=True)
    assert one.feed(memoryview(said))
    assert [one.number(name) for name in (b"a", b"b", b"c", b"d", b"e", b"f")] == [2, None, None, None, 5, None]


def test_an_empty_message_is_a_message() -> None:
    """All fields at their defaults: no bytes."""
    one = codec()
    assert one.feed(memoryview(head(peer.HEAD) + data(peer.prefixed(b"")) + head(peer.TRAILERS, ends=True)))
    assert (one.status, one.body) == (200, b"")


@pytest.mark.parametrize(
    "said",
    [
        head(peer.HEAD) + head(peer.TRAILERS, ends=True),
        head((*peer.HEAD, *peer.TRAILERS), ends=True),
        head(peer.HEAD) + data(peer.prefixed(b"cut off")[:-1]) + head(peer.TRAILERS, ends=True),
        head(peer.HEAD) + data(b"\0\0\0") + head(peer.TRAILERS, ends=True),
        head(peer.HEAD) + data(peer.prefixed(b"one") + b"\0"),
        head(peer.HEAD) + data(peer.prefixed(b"zipped", flag=1)),
        head(peer.HEAD) + data(peer.prefixed(b"no trailers"), ends=True),
        head(peer.HEAD) + data(peer.prefixed(b"x")) + head((("grpc-message", ""),), ends=True),
        head(peer.HEAD) + data(peer.prefixed(b"x")) + head((("grpc-status", "ok"),), ends=True),
        head(((":status", "204"),), ends=True),
        head(((":status", "100"),), ends=True),
        head((("content-type", "application/grpc"),)),
        head(((":status", "20"),)),
        head(((":status", "abc"),)),
        head(((":status", "099"),)),
        head(((":status", "502"), ("grpc-status", "0")), ends=True),
        data(b"early"),
        data(b"", ends=True),
    ],
)
def test_an_answer_that_is_neither_success_nor_failure_is_malformed(said: bytes) -> None:
    """No status, no message, more than one, or one that is compressed."""
    with pytest.raises(MalformedResponse):
        codec().feed(memoryview(said))
