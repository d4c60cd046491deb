"""One unary gRPC answer from its header blocks and data. Pure.

Source: the gRPC project's "gRPC over HTTP2" (PROTOCOL-HTTP2): headers, one length-prefixed message, trailers; or, where
there is no message, trailers alone in the place of the headers.
"""

from typing import Final
from urllib.parse import unquote

from follower.load.codec import MalformedResponse
from follower.load.http2.header_blocks import Fields

OK: Final = 200
GRPC_FAILED: Final = 599
"""Stands for every grpc-status but 0, in the column that holds HTTP statuses; no registered HTTP status is 599."""

PREFIX_BYTES: Final = 5  # a flag and the message's length
_MAX_DIGITS: Final = 18  # stays inside 64 bits
_SHOWN_CHARACTERS: Final = 200
_NONE: Final[Fields] = {}


class GrpcResponse:
    """Headers, data and trailers of one call, in the order in which they come."""

    __slots__ = ("_headers", "_http_status", "_keep", "_kept", "_missing_bytes", "_prefix", "_trailers")

    def __init__(self, *, keep_message: bool) -> None:
        self._keep = keep_message
        self._kept: list[bytes] = []
        self._headers = _NONE
        self._trailers = _NONE
        self._http_status = 0
        self._prefix = b""
        self._missing_bytes = -1  # of the message; not known before its prefix

    def take_headers(self, fields: Fields, *, ends: bool) -> None:
        """A whole header block: interim ones are skipped, the first other one is the head, the next the trailers.

        Raises:
            MalformedResponse: no HTTP status, or trailers that do not end the stream.
        """
        if self._http_status:
            if not ends:
                raise MalformedResponse("header fields in the middle of an answer")
            self._trailers = fields
            return
        status = fields.get(b":status", b"")
        if len(status) != 3 or not status.isdigit() or status < b"100":  # noqa: PLR2004 - the digits of a status
            raise MalformedResponse(f"not an HTTP status: {status[:40]!r}")
        if status >= b"200":
            self._headers = fields
            self._http_status = int(status)
        elif ends:
            raise MalformedResponse("an interim status ends the stream")

    def take_data(self, data: memoryview) -> None:
        """The next bytes of the message. The body of an answer that is no gRPC answer is passed over.

        Raises:
            MalformedResponse: data before the head; a compressed message; more than one message.
        """
        if self._http_status != OK:
            if not self._http_status:
                raise MalformedResponse("data before header fields")
            return
        if self._missing_bytes < 0:
            data = self._take_prefix(data)
            if self._missing_bytes < 0:
                return
        if len(data) > self._missing_bytes:
            raise MalformedResponse("more than one message")
        self._missing_bytes -= len(data)
        if self._keep:
            self._kept.append(bytes(data))

    def _take_prefix(self, data: memoryview) -> memoryview:
        """Reads the prefix if it is whole, and returns what follows it."""
        missing = PREFIX_BYTES - len(self._prefix)
        self._prefix += bytes(data[:missing])
        if len(self._prefix) == PREFIX_BYTES:
            if self._prefix[0]:
                raise MalformedResponse("a compressed message, although we accept none")
            self._missing_bytes = int.from_bytes(self._prefix[1:])
        return data[missing:]

    def end(self) -> int:
        """The stream has ended: 200, GRPC_FAILED, or the HTTP status of an answer that is no gRPC answer.

        Raises:
            MalformedResponse: no grpc-status, or a success without its whole message.
        """
        status = self.field(b"grpc-status")
        if status is None:
            if self._http_status == 0 or self._http_status // 100 == 2:  # noqa: PLR2004 - the class of success
                raise MalformedResponse("an answer without grpc-status")
            return self._http_status
        if not status.isdigit():
            raise MalformedResponse(f"not a grpc-status: {status[:40]!r}")
        if int(status):
            return GRPC_FAILED
        if self._http_status != OK or self._missing_bytes:
            raise MalformedResponse("grpc-status 0, but no whole message")
        return OK

    def field(self, name: bytes) -> bytes | None:
        """A trailer's value, or a header's."""
        value = self._trailers.get(name)
        return self._headers.get(name) if value is None else value

    def number(self, name: bytes) -> int | None:
        """A trailer's or header's value as a non-negative integer; None where it is absent or no such number."""
        value = self.field(name)
        return int(value) if value is not None and value.isdigit() and len(value) <= _MAX_DIGITS else None

    @property
    def message(self) -> bytes:
        """The message, where it was to be kept."""
        return self._kept[0] if len(self._kept) == 1 else b"".join(self._kept)

    @property
    def explanation(self) -> str:
        """The status and the server's words for it."""
        status = self.field(b"grpc-status")
        if status is None:
            return f"status {self._http_status}"
        words = unquote((self.field(b"grpc-message") or b"").decode("ascii", errors="replace"))
        return f"grpc-status {status.decode('ascii', errors='replace')}: {words[:_SHOWN_CHARACTERS]}"
