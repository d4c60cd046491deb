"""HTTP/1.1 answers: the quick way for a whole answer and the long way for pieces must never disagree."""

from hypothesis import example, given
from hypothesis import strategies as st

from follower.load.codec import MalformedResponse
from follower.load.response import ResponseReader

NAMES = ("inferbench-queue-ns", "inferbench-batch-size", "content-length", "x-other", "connection", "Transfer-Encoding")
LINES = st.one_of(
    st.builds(
        "{}:{}{}".format,
        st.sampled_from(NAMES).flatmap(lambda name: st.sampled_from([name, name.upper(), name.title()])),
        st.sampled_from(["", " ", "\t "]),
        st.one_of(st.integers(0, 10**19).map(str), st.sampled_from(["close", "keep-alive", "chunked", "", "4", "-1"])),
    ),
    st.sampled_from(["no colon", ": no name", "two words: 1", " folded: 1", "a\rb: 1", "c: d\ne: 5", "f\x0b: 1"]),
)
STATUS_LINES = st.sampled_from(
    [
        *("HTTP/1.1 200 OK", "HTTP/1.1 200", "HTTP/1.1 500 Oh no", "HTTP/1.1 204 None", "HTTP/1.1 100 Go on"),
        *("HTTP/1.0 200 OK", "HTTP/2 200 OK", "http/1.1 200 OK", "HTTP/1.1 099 x", "HTTP/1.1 2000", "HTTP/1.1 20a OK"),
        "HTTP/1.1 200OK",
    ]
)
BODIES = st.binary(max_size=6)


@st.composite
def answers(draw: st.DrawFn) -> bytes:
    """Answers that are right, and answers that are nearly so."""
    lines, body = draw(st.lists(LINES, max_size=4)), draw(BODIES)
    if draw(st.booleans()):
        lines.insert(draw(st.integers(0, len(lines))), f"Content-Length: {len(body)}")
    return "\r\n".join([draw(STATUS_LINES), *lines, "", ""]).encode("latin-1") + body


def read(answer: bytes, piece: int) -> tuple[object, ...]:
    """What a reader makes of the answer, fed in pieces of this size."""
    reader = ResponseReader(keep_body=True)
    reader.start(b"")
    complete = False
    try:
        for start in range(0, len(answer), piece):
            complete = reader.feed(memoryview(answer[start : start + piece]))
    except MalformedResponse:
        return ("malformed",)
    numbers = tuple(reader.number(name.lower().encode()) for name in NAMES)
    return (complete, reader.status, reader.keep_alive, reader.body, numbers, reader.feed_eof())


@given(answers())
@example(b"HTTP/1.1 200 OK\r\n folded: 1\r\nContent-Length: 0\r\n\r\n")
def test_an_answer_means_the_same_whole_and_byte_by_byte(answer: bytes) -> None:
    """Status, framing, body, reported numbers and errors do not depend on how the bytes come."""
    assert read(answer, len(answer)) == read(answer, 1)
