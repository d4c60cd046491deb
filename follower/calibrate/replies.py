"""What the null server says: the same answer to every request, found by the cheapest means. Pure.

One object belongs to one connection. All requests are alike, so nothing is parsed that need not be.
"""

import re
from dataclasses import dataclass
from typing import Final, Literal, Protocol

from follower.load.http2 import frames
from follower.load.http2.frame_reader import FrameReader
from follower.load.http2.header_blocks import constant_block

_WINDOW_STEP_BYTES: Final = 1 << 30
_GREETING: Final = b"".join(
    [
        frames.settings([(frames.SETTING_INITIAL_WINDOW, frames.LARGEST_WINDOW_BYTES)]),
        frames.window_update(0, frames.LARGEST_WINDOW_BYTES - frames.DEFAULT_WINDOW_BYTES),
    ]
)
_HEADERS: Final = constant_block([(b":status", b"200"), (b"content-type", b"application/grpc")])
_TRAILERS: Final = constant_block([(b"grpc-status", b"0")])


@dataclass(frozen=True, kw_only=True)
class Script:
    """What the null server is to do."""

    protocol: Literal["http", "grpc"]
    request_bytes: int  # as the run sends them; gRPC: the message with its prefix
    response: bytes  # HTTP: all bytes of the answer; gRPC: the message with its prefix
    closes: bool = False  # the answer ends with the connection


class Replies(Protocol):
    """Bytes in, bytes out."""

    def take(self, data: memoryview) -> bytes:
        """What to say to these bytes; empty for nothing yet."""
        ...


class HttpReplies:
    """Reads the head of a connection's first request, then counts bytes: each request is as long as every other."""

    def __init__(self, response: bytes) -> None:
        self._response = response
        self._first = b""
        self._request_bytes = 0  # 0: not known yet
        self._received_bytes = 0

    def take(self, data: memoryview) -> bytes:
        self._received_bytes += len(data)
        if not self._request_bytes:
            self._first += bytes(data)
            self._request_bytes = whole_length(self._first)
            if not self._request_bytes:
                return b""
            self._first = b""
        if self._received_bytes == self._request_bytes:
            self._received_bytes = 0
            return self._response
        whole, self._received_bytes = divmod(self._received_bytes, self._request_bytes)
        return self._response * whole


class GrpcReplies:
    """Looks at the heads of frames: a DATA frame that ends its stream is a whole request."""

    def __init__(self, response: bytes) -> None:
        self._reader = FrameReader(frames.LARGEST_MAX_FRAME_BYTES)
        self._message = [
            response[start : start + frames.DEFAULT_MAX_FRAME_BYTES]
            for start in range(0, len(response), frames.DEFAULT_MAX_FRAME_BYTES)
        ]
        self._preface = b""
        self._used_bytes = 0  # of the connection's window

    def take(self, data: memoryview) -> bytes:
        if len(self._preface) < len(frames.PREFACE):
            missing = len(frames.PREFACE) - len(self._preface)
            self._preface += bytes(data[:missing])
            data = data[missing:]
            if len(self._preface) < len(frames.PREFACE):
                return b""
            return _GREETING + self._answers(data)
        return self._answers(data)

    def _answers(self, data: memoryview) -> bytes:
        return b"".join(self._answer(*frame) for frame in self._reader.feed(data))

    def _answer(self, kind: int, flags: int, stream: int, payload: memoryview) -> bytes:
        if kind == frames.DATA:
            reply = self._reply(stream) if flags & frames.END_STREAM else b""
            return self._window(len(payload)) + reply
        if kind == frames.SETTINGS and not flags & frames.ACK:
            return frames.SETTINGS_ACK
        if kind == frames.PING and not flags & frames.ACK:
            return frames.ping_ack(payload)
        return b""

    def _reply(self, stream: int) -> bytes:
        data = [frames.frame(frames.DATA, 0, stream, piece) for piece in self._message]
        head = frames.frame(frames.HEADERS, frames.END_HEADERS, stream, _HEADERS)
        end = frames.frame(frames.HEADERS, frames.END_HEADERS | frames.END_STREAM, stream, _TRAILERS)
        return b"".join([head, *data, end])

    def _window(self, size_bytes: int) -> bytes:
        """Room for more requests, long before there is none left. Streams never need any: each carries one."""
        self._used_bytes += size_bytes
        if self._used_bytes < _WINDOW_STEP_BYTES:
            return b""
        increment, self._used_bytes = self._used_bytes, 0
        return frames.window_update(0, increment)


def replies_of(script: Script) -> Replies:
    """For one new connection."""
    if script.protocol == "grpc":
        return GrpcReplies(script.response)
    return HttpReplies(script.response)


def whole_length(request: bytes) -> int:
    """How long an HTTP request is, head and body, from its beginning; 0 while its head is not whole."""
    head, found, _ = request.partition(b"\r\n\r\n")
    if not found:
        return 0
    length = re.search(rb"\r\ncontent-length: *([0-9]+)", head, re.IGNORECASE)
    return len(head) + len(found) + (int(length[1]) if length else 0)


def with_prefix(message: bytes) -> bytes:
    """A gRPC message as it travels: uncompressed, with its length ("gRPC over HTTP2", Length-Prefixed-Message)."""
    return b"\0" + len(message).to_bytes(4) + message
