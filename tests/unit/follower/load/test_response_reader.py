"""HTTP/1.1 responses in any split: the reader against responses written by hand."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from follower.load.codec import MalformedResponse
from follower.load.response import MAX_HEAD_BYTES, ResponseReader

PLAIN = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nInferbench-Queue-Ns:  42 \r\n\r\nhello"
CHUNKED = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n0002;note=1\r\nlo\r\n0\r\nTrailer: x\r\n\r\n"
)


def read(data: bytes, cuts: list[int] | None = None) -> tuple[ResponseReader, list[bool]]:
    """Feeds ``data`` cut at ``cuts``; the reader, and what each feed said."""
    reader = ResponseReader(keep_body=True)
    reader.start(b"")
    edges = [0, *sorted(cuts or []), len(data)]
    pieces = [data[start:end] for start, end in pairwise(edges) if start != end]
    return reader, [reader.feed(memoryview(piece)) for piece in pieces]


def rendered(body: bytes, chunk_sizes: list[int], *, interim: bool) -> bytes:
    """A response with this body, chunked if there are sizes."""
    head = b"HTTP/1.1 100 Continue\r\n\r\n" if interim else b""
    if not chunk_sizes:
        return head + b"HTTP/1.1 503 Try later\r\nX: y\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body)
    parts, rest = [], body
    for size in chunk_sizes:
        if rest[:size]:
            parts.append(rest[:size])
        rest = rest[size:]
    parts += [rest] if rest else []
    chunks = b"".join(b"%X\r\n%s\r\n" % (len(part), part) for part in parts)
    return head + b"HTTP/1.1 503 Try later\r\ntransfer-encoding: CHUNKED\r\n\r\n" + chunks + b"0\r\n\r\n"


@given(
    body=st.binary(max_size=300),
    chunk_sizes=st.lists(st.integers(1, 100), max_size=5),
    interim=st.booleans(),
    cuts=st.lists(st.integers(0, 600), max_size=12),
)
def test_any_split_gives_the_same_response(body: bytes, chunk_sizes: list[int], interim: bool, cuts: list[int]) -> None:
    """Complete exactly with the last byte, whatever the pieces."""
    data = rendered(body, chunk_sizes, interim=interim)
    reader, said = read(data, [min(cut, len(data)) for cut in cuts])
    assert said == [False] * (len(said) - 1) + [True]
    assert (reader.status, reader.body, reader.keep_alive) == (503, body, True)


@given(st.binary(max_size=400), st.lists(st.integers(0, 400), max_size=5))
def test_garbage_never_breaks_the_reader_in_another_way(data: bytes, cuts: list[int]) -> None:
    """Any bytes are a response, the beginning of one, or MalformedResponse."""
    try:
        read(data, [min(cut, len(data)) for cut in cuts])
    except MalformedResponse:
        return


@pytest.mark.parametrize("data", [PLAIN, CHUNKED])
def test_byte_by_byte(data: bytes) -> None:
    """The worst split of all."""
    reader, said = read(data, list(range(len(data))))
    assert said.count(True) == 1
    assert reader.body == b"hello"


def test_numbers_of_the_server_are_read_and_nonsense_is_not_available() -> None:
    """Header names in any case, blanks around the value; anything but digits is no number."""
    reader, _ = read(PLAIN)
    assert reader.number(b"inferbench-queue-ns") == 42
    assert reader.number(b"inferbench-total-ns") is None
    odd, _ = read(b"HTTP/1.1 204 No\r\na: -1\r\nb: 1.5\r\nc: 9999999999999999999999\r\nd:\r\n\r\n")
    assert [odd.number(name) for name in (b"a", b"b", b"c", b"d")] == [None] * 4


def test_body_is_forgotten_unless_it_is_wanted() -> None:
    """A prepared request's answer is only framed."""
    reader = ResponseReader(keep_body=False)
    reader.start(b"")
    assert reader.feed(memoryview(PLAIN))
    assert reader.body == b""


@pytest.mark.parametrize("status", [204, 304])
def test_statuses_without_a_body_end_with_their_head(status: int) -> None:
    """Even where a content-length is given, as 304 may."""
    reader, said = read(b"HTTP/1.1 %d No\r\nContent-Length: 5\r\n\r\n" % status)
    assert said == [True]
    assert reader.body == b""


def test_body_until_the_connection_closes() -> None:
    """Without a length the end of the stream is the end, and the connection is spent."""
    reader, said = read(b"HTTP/1.1 200 OK\r\n\r\npart one", [20])
    assert said == [False, False]
    assert reader.feed_eof()
    assert reader.body == b"part one"
    assert not reader.keep_alive


@pytest.mark.parametrize("data", [b"", b"HTTP/1.1 200 OK\r\n", PLAIN[:-1], CHUNKED[:-2]])
def test_an_end_in_the_middle_is_no_end(data: bytes) -> None:
    """The connection was lost."""
    reader, _ = read(data)
    assert not reader.feed_eof()


@pytest.mark.parametrize(
    ("head", "kept"),
    [
        (b"HTTP/1.1 200 OK\r\n", True),
        (b"HTTP/1.1 200 OK\r\nConnection: Close\r\n", False),
        (b"HTTP/1.0 200 OK\r\n", False),
        (b"HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\n", True),
    ],
)
def test_whether_the_connection_stays_open(head: bytes, kept: bool) -> None:
    """RFC 9112, section 9.3."""
    reader, _ = read(head + b"Content-Length: 0\r\n\r\n")
    assert reader.keep_alive is kept


def test_reader_starts_anew_on_the_same_connection() -> None:
    """Nothing of the last response is left."""
    reader, _ = read(PLAIN)
    reader.start(b"")
    assert reader.feed(memoryview(b"HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n"))
    assert (reader.status, reader.body, reader.number(b"inferbench-queue-ns")) == (500, b"", None)


def test_a_request_is_handed_out_whole_and_as_it_is() -> None:
    """HTTP/1.1 says nothing of its own, before or beside it."""
    reader = ResponseReader(keep_body=False)
    assert reader.greeting() == b""
    assert reader.start(b"GET / HTTP/1.1\r\n\r\n") == b"GET / HTTP/1.1\r\n\r\n"
    assert reader.is_sent
    assert reader.outgoing() == b""
    assert not reader.is_unprocessed


def test_a_failure_is_explained_in_the_servers_words() -> None:
    """Status and body, cut after 200 bytes."""
    reader, _ = read(b"HTTP/1.1 503 No\r\nContent-Length: 300\r\n\r\n" + b"x" * 300)
    assert reader.explanation == "status 503: " + "x" * 200


@pytest.mark.parametrize("used", [False, True])
def test_a_server_that_speaks_between_exchanges_is_malformed(used: bool) -> None:
    """Before the first request and after an answer alike."""
    reader = ResponseReader(keep_body=False)
    if used:
        reader.start(b"")
        assert reader.feed(memoryview(PLAIN))
    with pytest.raises(MalformedResponse):
        reader.feed(memoryview(PLAIN))


@pytest.mark.parametrize(
    "data",
    [
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"HTTP/2 200 OK\r\n\r\n",
        b"HTTP/1.1 20 OK\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n folded: line\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length : 5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nContent-Length: five\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabc\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\nab\r\n",
        PLAIN + b"more",
        CHUNKED + b"more",
        b"x" * (MAX_HEAD_BYTES + 5),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"0" * (MAX_HEAD_BYTES + 5),
    ],
)
def test_what_is_not_a_response_is_refused(data: bytes) -> None:
    """Also where its framing could be guessed."""
    with pytest.raises(MalformedResponse):
        read(data)
