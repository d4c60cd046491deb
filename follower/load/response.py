"""HTTP/1.1 responses from bytes as they come: no socket, no clock, any split. Pure.

Framing after RFC 9112: content-length, chunked, or until the connection closes. Anything ambiguous is malformed,
because a generator that guesses where an answer ends measures its guess.
"""

import re
from typing import Final, Protocol

from follower.load.codec import MalformedResponse

MAX_HEAD_BYTES: Final = 64 * 1024
_STATUS_LINE: Final = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9][0-9])(?: [^\r\n]*)?\r\n")
_HEADER_LINES: Final = re.compile(rb"(?:[^\s:]+:[^\r\n]*\r\n)*")
_OK_LINE: Final = b"http/1.1 200 ok"
_MAX_DIGITS: Final = 18  # stays inside 64 bits
_SHOWN_BYTES: Final = 200
_UNUSUAL: Final = {b"204", b"304"}  # without a body, whatever their headers say


class Body(Protocol):
    """Finds the end of a body."""

    complete: bool

    def take(self, data: memoryview) -> int:
        """Takes the body's next bytes and says how many of ``data`` belong to it."""
        ...


class LengthBody:
    """A body of known length."""

    def __init__(self, length: int, kept: list[bytes] | None) -> None:
        self._remaining = length
        self._kept = kept
        self.complete = length == 0

    def take(self, data: memoryview) -> int:
        size = min(len(data), self._remaining)
        if self._kept is not None:
            self._kept.append(bytes(data[:size]))
        self._remaining -= size
        self.complete = self._remaining == 0
        return size


_NONE: Final[dict[bytes, bytes]] = {}
_NOTHING_DUE: Final = LengthBody(0, None)
"""Complete, and keeps nothing, so that one serves all."""


class ClosingBody:
    """A body that ends with the connection."""

    def __init__(self, kept: list[bytes] | None) -> None:
        self._kept = kept
        self.complete = False

    def take(self, data: memoryview) -> int:
        if self._kept is not None:
            self._kept.append(bytes(data))
        return len(data)


class ChunkedBody:
    """Chunks, then trailers, which are read and forgotten."""

    def __init__(self, kept: list[bytes] | None) -> None:
        self._kept = kept
        self._line = bytearray()  # an unfinished size, chunk end or trailer line
        self._chunk: LengthBody | None = None
        self._after_chunk = False
        self._in_trailers = False
        self.complete = False

    def take(self, data: memoryview) -> int:
        taken = 0
        while taken < len(data) and not self.complete:
            taken += self._take_chunk(data[taken:]) if self._chunk else self._take_line(data[taken:])
        return taken

    def _take_chunk(self, data: memoryview) -> int:
        assert self._chunk is not None  # noqa: S101 - chosen by take
        size = self._chunk.take(data)
        if self._chunk.complete:
            self._chunk = None
            self._after_chunk = True
        return size

    def _take_line(self, data: memoryview) -> int:
        """Takes up to and with the next line feed; acts on the line once it is whole."""
        piece = bytes(data[: MAX_HEAD_BYTES + 1])
        end = piece.find(b"\n") + 1
        self._line += piece[:end] if end else piece
        if len(self._line) > MAX_HEAD_BYTES:
            raise MalformedResponse("a chunk line is too long")
        if end:
            line = bytes(self._line)
            self._line.clear()
            if not line.endswith(b"\r\n"):
                raise MalformedResponse("a chunk line does not end with CRLF")
            self._on_line(line[:-2])
        return end or len(piece)

    def _on_line(self, line: bytes) -> None:
        if self._in_trailers:
            self.complete = not line
        elif self._after_chunk:
            if line:
                raise MalformedResponse("a chunk is longer than it says")
            self._after_chunk = False
        else:
            size = _chunk_size(line)
            self._in_trailers = size == 0
            self._chunk = LengthBody(size, self._kept) if size else None


def _chunk_size(line: bytes) -> int:
    digits = line.partition(b";")[0].strip(b" \t")
    if not re.fullmatch(rb"[0-9A-Fa-f]{1,15}", digits):
        raise MalformedResponse(f"not a chunk size: {line[:40]!r}")
    return int(digits, 16)


class ResponseReader:
    """The codec of HTTP/1.1: one response after another from one connection; ``start`` before each.

    ``headers`` are in lower case. A server has nothing to say between two exchanges: bytes there are malformed.
    """

    is_sent = True  # a request is handed out whole
    is_unprocessed = False  # HTTP/1.1 has no way to say so

    def __init__(self, *, keep_body: bool) -> None:
        self._keep_body = keep_body
        self._body: Body | None
        self._forget()
        self._body = _NOTHING_DUE

    def greeting(self) -> bytes:
        """Nothing: the client's first bytes are its first request."""
        return b""

    def start(self, request: bytes | bytearray) -> bytes | bytearray:
        """Forgets the last response and hands the request out as it is."""
        self._forget()
        return request

    def outgoing(self) -> bytes:
        """Nothing: HTTP/1.1 has no frames of its own."""
        return b""

    def _forget(self) -> None:
        self.status = 0
        self.keep_alive = False
        self.headers: dict[bytes, bytes] = _NONE
        self._head = bytearray()
        self._body = None
        self._kept: list[bytes] | None = [] if self._keep_body else None

    @property
    def body(self) -> bytes:
        """The body, where the reader was made to keep it."""
        return b"".join(self._kept or ())

    @property
    def explanation(self) -> str:
        """The status and the beginning of the body."""
        return f"status {self.status}: {self.body[:_SHOWN_BYTES].decode(errors='replace')}"

    def feed(self, data: memoryview) -> bool:
        """Takes the next bytes; True once the response is complete.

        Raises:
            MalformedResponse: this is not a response, or bytes follow its end.
        """
        if self._body is None and not self._head and len(data) <= MAX_HEAD_BYTES and self._take_whole(data):
            return True
        while self._body is None:
            rest = self._take_head(data)
            if rest is None:
                return False
            data = rest
        taken = self._body.take(data) if not self._body.complete else 0
        if taken < len(data):
            raise MalformedResponse(f"{len(data) - taken} bytes follow the response")
        return self._body.complete

    def feed_eof(self) -> bool:
        """The connection was closed; True if that is how this response ends."""
        return isinstance(self._body, ClosingBody)

    def number(self, name: bytes) -> int | None:
        """A header's value as a non-negative integer; None where it is absent or no such number."""
        value = self.headers.get(name, b"").strip(b" \t")
        return int(value) if value.isdigit() and len(value) <= _MAX_DIGITS else None

    def _take_whole(self, data: memoryview) -> bool:
        """The usual answer, quickly: it comes in one piece, keeps the connection and says its length once.

        False, with nothing taken, for any other, and for what is not clear: the long way then decides.
        """
        whole = bytes(data)
        end = whole.find(b"\r\n\r\n")
        if end < 0 or not whole.startswith(b"HTTP/1.1 "):
            return False
        first, *lines = whole[:end].lower().split(b"\r\n")
        try:
            headers: dict[bytes, bytes] = dict([line.split(b":", 1) for line in lines])
        except ValueError:  # no colon
            return False
        status, length = first[9:12], headers.get(b"content-length", b"").strip(b" \t")
        if not (
            _are_plain(headers, lines, whole[:end])
            and (first == _OK_LINE or _STATUS_LINE.match(whole))
            and status not in _UNUSUAL
            and status >= b"200"
            and length.isdigit()
            and len(length) <= _MAX_DIGITS
            and end + 4 + int(length) == len(whole)
        ):
            return False
        self.status = int(status)
        self.keep_alive = True
        self.headers = headers
        self._body = _NOTHING_DUE
        if self._kept is not None:
            self._kept.append(whole[end + 4 :])
        return True

    def _take_head(self, data: memoryview) -> memoryview | None:
        """Reads the head if it is whole and returns what follows it; None if more must come.

        An interim (1xx) head is skipped: its rest is the beginning of the next head.
        """
        already = len(self._head)
        self._head += data[: MAX_HEAD_BYTES + 4 - already]
        end = self._head.find(b"\r\n\r\n", max(0, already - 3))
        if end < 0:
            if len(self._head) > MAX_HEAD_BYTES:
                raise MalformedResponse(f"the head is longer than {MAX_HEAD_BYTES} bytes")
            return None
        rest = data[end + 4 - already :]
        head = bytes(self._head[: end + 2])
        self._head.clear()
        self._read_head(head)
        return rest

    def _read_head(self, head: bytes) -> None:
        match = _STATUS_LINE.match(head)
        if match is None:
            raise MalformedResponse(f"not a status line: {head[:40]!r}")
        self.status = int(match[2])
        self.headers = _read_headers(head[match.end() :].lower())
        if self.status == 101:  # noqa: PLR2004 - Switching Protocols, by its number
            raise MalformedResponse("the server switched protocols")
        if self.status >= 200:  # noqa: PLR2004 - the first final status
            connection = self.headers.get(b"connection", b"")
            self.keep_alive = b"close" not in connection if match[1] == b"1" else b"keep-alive" in connection
            self._body = self._body_of()

    def _body_of(self) -> Body:
        if self.status in {204, 304}:
            return LengthBody(0, None)
        coding = self.headers.get(b"transfer-encoding")
        length = self.headers.get(b"content-length")
        if coding is not None:
            if coding != b"chunked" or length is not None:
                raise MalformedResponse(f"unclear framing: transfer-encoding {coding!r}, content-length {length!r}")
            return ChunkedBody(self._kept)
        if length is None:
            self.keep_alive = False
            return ClosingBody(self._kept)
        size = self.number(b"content-length")
        if size is None:
            raise MalformedResponse(f"not a content-length: {length[:40]!r}")
        return LengthBody(size, self._kept)


def _are_plain(headers: dict[bytes, bytes], lines: list[bytes], head: bytes) -> bool:
    """Whether lines that were split at their first colon are header lines, each name once, none about framing."""
    names = b"".join(headers)
    return (
        len(headers) == len(lines) == head.count(b"\r") == head.count(b"\n")
        and b"" not in headers
        and names.split() == [names]  # no white space in any
        and b"connection" not in headers
        and b"transfer-encoding" not in headers
    )


def _read_headers(block: bytes) -> dict[bytes, bytes]:
    """Header lines, each with its line end, as name -> value; the values of a repeated name are joined by commas."""
    if not _HEADER_LINES.fullmatch(block):
        raise MalformedResponse(f"not header lines: {block[:200]!r}")
    parts = [line.partition(b":") for line in block.split(b"\r\n")[:-1]]
    headers = {name: value.strip(b" \t") for name, _, value in parts}
    if len(headers) < len(parts):
        for name in headers:
            headers[name] = b", ".join(value.strip(b" \t") for other, _, value in parts if other == name)
    return headers
