"""The codec of unary gRPC calls over HTTP/2: one call at a time on one connection. Pure.

Sources: RFC 9113 (HTTP/2), RFC 7541 (HPACK), the gRPC project's "gRPC over HTTP2" (PROTOCOL-HTTP2).
"""

import struct
from collections.abc import Callable, Sequence
from typing import Final

from follower.load.codec import MalformedResponse, ResponseReset
from follower.load.http2 import frames
from follower.load.http2.frame_reader import Frame, FrameReader
from follower.load.http2.grpc_response import GrpcResponse
from follower.load.http2.header_blocks import MAX_BLOCK_BYTES, HeaderDecoder, constant_block
from follower.load.http2.windows import RECEIVE_WINDOW_BYTES, ReceiveWindow, SendWindows

_GREETING: Final = b"".join(
    [
        frames.PREFACE,
        frames.settings([(frames.SETTING_ENABLE_PUSH, 0), (frames.SETTING_INITIAL_WINDOW, RECEIVE_WINDOW_BYTES)]),
        frames.window_update(0, RECEIVE_WINDOW_BYTES - frames.DEFAULT_WINDOW_BYTES),
    ]
)
_BEFORE_A_CALL: Final = GrpcResponse(keep_message=False)


def request_block(
    authority: bytes, path: bytes, *, scheme: bytes = b"http", secrets: Sequence[tuple[bytes, bytes]] = ()
) -> bytes:
    """The header block of every request of a connection; names of ``secrets`` are in lower case."""
    return constant_block(
        [
            (b":method", b"POST"),
            (b":scheme", scheme),
            (b":path", path),
            (b":authority", authority),
            (b"content-type", b"application/grpc"),
            (b"te", b"trailers"),
        ],
        secrets,
    )


class GrpcCodec:
    """One connection's calls, one after another; requests are messages with their gRPC prefix."""

    def __init__(self, block: bytes, *, keep_body: bool, next_stream: int = 1) -> None:
        """``block`` is what ``request_block`` made; ``next_stream`` an odd number.

        Raises:
            ValueError: the block does not fit into one frame.
        """
        if len(block) > frames.DEFAULT_MAX_FRAME_BYTES:
            raise ValueError(f"a request's header fields take {len(block)} bytes")
        self.status = 0
        self.keep_alive = True
        self.is_unprocessed = False
        self._block = block
        self._opening = struct.Struct(f">BHBBI{len(block)}sBHBBI")  # HEADERS, and the head of one DATA frame
        self._keep_body = keep_body
        self._next_stream = next_stream
        self._stream = 0
        self._is_open = False
        self._rest = memoryview(b"")  # of the request, held back by flow control
        self._pending: list[bytes] = []  # to be said
        self._reader = FrameReader(frames.DEFAULT_MAX_FRAME_BYTES)
        self._headers = HeaderDecoder()
        self._response = _BEFORE_A_CALL
        self._send = SendWindows()
        self._receive_connection = ReceiveWindow()
        self._receive_stream = ReceiveWindow()
        self._is_greeted = False
        self._block_in_parts: bytearray | None = None  # a header block that CONTINUATION frames go on with
        self._block_ends_stream = False
        self._handlers: dict[int, Callable[[int, int, memoryview], None]] = {
            frames.DATA: self._on_data,
            frames.HEADERS: self._on_headers,
            frames.RST_STREAM: self._on_reset,
            frames.SETTINGS: self._on_settings,
            frames.PUSH_PROMISE: self._on_push,
            frames.PING: self._on_ping,
            frames.GOAWAY: self._on_goaway,
            frames.WINDOW_UPDATE: self._on_window_update,
            frames.CONTINUATION: self._on_continuation,
        }

    def greeting(self) -> bytes:
        """Preface, settings and a large connection window; the server's settings need not be awaited."""
        return _GREETING

    def start(self, request: bytes | bytearray) -> bytes:
        """Opens the next stream: the header block, and as much of the request as flow control lets out."""
        stream = self._stream = self._next_stream
        self._next_stream += 2
        self.status = 0
        self.is_unprocessed = False
        self._is_open = True
        self._response = GrpcResponse(keep_message=self._keep_body)
        self._receive_stream = ReceiveWindow()
        self._send.open_stream()
        size, block = len(request), self._block
        if size > self._send.allowed_bytes or size > self._send.max_frame_bytes:
            self._rest = memoryview(request)
            return frames.frame(frames.HEADERS, frames.END_HEADERS, stream, block) + self._more()
        self._send.spend(size)
        return (
            self._opening.pack(
                0, len(block), frames.HEADERS, frames.END_HEADERS, stream, block,
                size >> 16, size & 0xFFFF, frames.DATA, frames.END_STREAM, stream,
            )
            + request
        )  # fmt: skip

    def _more(self) -> bytes:
        """The DATA frames that flow control lets out now."""
        pieces: list[bytes | memoryview] = []
        while self._rest and (size := min(len(self._rest), self._send.allowed_bytes, self._send.max_frame_bytes)):
            flags = frames.END_STREAM if size == len(self._rest) else 0
            pieces += [
                frames.HEADER.pack(size >> 16, size & 0xFFFF, frames.DATA, flags, self._stream),
                self._rest[:size],
            ]
            self._rest = self._rest[size:]
            self._send.spend(size)
        return b"".join(pieces)

    @property
    def is_sent(self) -> bool:
        """Whether flow control holds nothing of the request back."""
        return not self._rest

    def outgoing(self) -> bytes:
        """Acknowledgements, window updates, and what flow control has let out since."""
        if not self._pending:
            return b""
        said = b"".join(self._pending)
        self._pending.clear()
        return said

    def feed(self, data: memoryview) -> bool:
        """Takes the next bytes; see the seam."""
        was_open = self._is_open
        for frame in self._reader.feed(data):
            self._take(frame)
        return was_open and not self._is_open

    def feed_eof(self) -> bool:
        """A stream never ends with the connection."""
        return False

    def number(self, name: bytes) -> int | None:
        """A trailer's or header's value as a non-negative integer; None where it is none."""
        return self._response.number(name)

    @property
    def body(self) -> bytes:
        """The message, without its prefix."""
        return self._response.message

    @property
    def explanation(self) -> str:
        """grpc-status and grpc-message, or what stands in their place."""
        return "the server did not process the request" if self.is_unprocessed else self._response.explanation

    def _take(self, frame: Frame) -> None:
        kind, flags, stream, payload = frame
        if not self._is_greeted:
            if kind != frames.SETTINGS or flags & frames.ACK:
                raise MalformedResponse("the peer does not begin with its settings: not an HTTP/2 server")
            self._is_greeted = True
        if self._block_in_parts is not None and kind != frames.CONTINUATION:
            raise MalformedResponse("a header block is broken off")
        handler = self._handlers.get(kind)
        if handler is not None:  # PRIORITY and frames that nobody knows mean nothing to us
            handler(flags, stream, payload)

    def _on_data(self, flags: int, stream: int, payload: memoryview) -> None:
        self._require_open(stream)
        self._response.take_data(frames.unpadded(flags, payload))
        increment = self._receive_connection.take(len(payload))
        if increment:
            self._pending.append(frames.window_update(0, increment))
        increment = self._receive_stream.take(len(payload))
        if increment:
            self._pending.append(frames.window_update(stream, increment))
        if flags & frames.END_STREAM:
            self._finish(self._response.end())

    def _on_headers(self, flags: int, stream: int, payload: memoryview) -> None:
        self._require_open(stream)
        block = bytes(frames.header_fragment(flags, payload))
        if flags & frames.END_HEADERS:
            self._on_block(block, ends=bool(flags & frames.END_STREAM))
        else:
            self._block_in_parts = bytearray(block)
            self._block_ends_stream = bool(flags & frames.END_STREAM)

    def _on_continuation(self, flags: int, stream: int, payload: memoryview) -> None:
        if self._block_in_parts is None or stream != self._stream:
            raise MalformedResponse("a CONTINUATION of nothing")
        self._block_in_parts += payload
        if len(self._block_in_parts) > MAX_BLOCK_BYTES:
            raise MalformedResponse(f"a header block is longer than {MAX_BLOCK_BYTES} bytes")
        if flags & frames.END_HEADERS:
            block, self._block_in_parts = bytes(self._block_in_parts), None
            self._on_block(block, ends=self._block_ends_stream)

    def _on_block(self, block: bytes, *, ends: bool) -> None:
        self._response.take_headers(self._headers.decode(block), ends=ends)
        if ends:
            self._finish(self._response.end())

    def _on_reset(self, _flags: int, stream: int, payload: memoryview) -> None:
        code = frames.read_reset(payload)
        self._require_used(stream)
        if stream != self._stream or not self._is_open:
            return
        if code != frames.REFUSED_STREAM:
            raise ResponseReset(f"the server reset the stream: {frames.error_name(code)}")
        self._rest = memoryview(b"")
        self._refuse()

    def _on_settings(self, flags: int, stream: int, payload: memoryview) -> None:
        _require_connection(stream)
        if flags & frames.ACK:
            if payload:
                raise MalformedResponse("an acknowledgement of settings with settings")
            return
        for identifier, value in frames.read_settings(payload):
            if identifier == frames.SETTING_INITIAL_WINDOW:
                self._send.change_initial(value)
            elif identifier == frames.SETTING_MAX_FRAME:
                self._send.max_frame_bytes = value
        self._pending.append(frames.SETTINGS_ACK)
        self._go_on()

    def _on_push(self, _flags: int, _stream: int, _payload: memoryview) -> None:
        raise MalformedResponse("a push, although our settings forbid it")

    def _on_ping(self, flags: int, stream: int, payload: memoryview) -> None:
        _require_connection(stream)
        frames.require_ping(payload)
        if not flags & frames.ACK:
            self._pending.append(frames.ping_ack(payload))

    def _on_goaway(self, _flags: int, stream: int, payload: memoryview) -> None:
        _require_connection(stream)
        self.keep_alive = False
        if self._is_open and self._stream > frames.read_goaway(payload):
            self._refuse()

    def _on_window_update(self, _flags: int, stream: int, payload: memoryview) -> None:
        increment = frames.read_window_update(payload)
        if not stream:
            self._send.grant_connection(increment)
        elif stream == self._stream and self._is_open:
            self._send.grant_stream(increment)
        else:
            self._require_used(stream)
        self._go_on()

    def _go_on(self) -> None:
        """Hands out what flow control now lets through."""
        if self._rest:
            self._pending.append(self._more())

    def _refuse(self) -> None:
        self.is_unprocessed = True
        self._finish(0)

    def _finish(self, status: int) -> None:
        """The exchange is over. What is left of its request is not sent, so that its stream cannot be closed."""
        self._is_open = False
        self._send.close_stream()
        self.status = status
        if self._rest or self._next_stream > frames.LARGEST_STREAM:
            self.keep_alive = False
            self._rest = memoryview(b"")

    def _require_open(self, stream: int) -> None:
        if stream != self._stream or not self._is_open:
            raise MalformedResponse(f"a frame for stream {stream}, on which nothing is awaited")

    def _require_used(self, stream: int) -> None:
        """A closed stream may still be spoken of; one that was never opened may not."""
        if stream > self._stream or not stream % 2:
            raise MalformedResponse(f"a frame for stream {stream}, which was never opened")


def _require_connection(stream: int) -> None:
    if stream:
        raise MalformedResponse(f"a frame of the connection on stream {stream}")
