"""Flow control (RFC 9113, section 5.2), both ways. Pure."""

from typing import Final

from follower.load.codec import MalformedResponse
from follower.load.http2 import frames

RECEIVE_WINDOW_BYTES: Final = 1 << 30
"""What the server may send ahead of our updates: so much that no answer ever waits for one."""


class ReceiveWindow:
    """Counts what came in and says when to give room again: once half of the window is used."""

    def __init__(self) -> None:
        self._used_bytes = 0

    def take(self, size_bytes: int) -> int:
        """Counts bytes that came; the increment to announce, mostly none."""
        self._used_bytes += size_bytes
        if self._used_bytes < RECEIVE_WINDOW_BYTES // 2:
            return 0
        increment, self._used_bytes = self._used_bytes, 0
        return increment


class SendWindows:
    """What the peer lets us send: on the connection, on the one open stream, and in one frame."""

    def __init__(self) -> None:
        self.max_frame_bytes = frames.DEFAULT_MAX_FRAME_BYTES
        self._initial_bytes = frames.DEFAULT_WINDOW_BYTES
        self._connection_bytes = frames.DEFAULT_WINDOW_BYTES
        self._stream_bytes = 0

    def open_stream(self) -> None:
        """A new stream takes the place of the last one."""
        self._stream_bytes = self._initial_bytes

    def close_stream(self) -> None:
        """Its window counts no more."""
        self._stream_bytes = 0

    @property
    def allowed_bytes(self) -> int:
        """How much data may be sent now; never negative."""
        return max(0, min(self._connection_bytes, self._stream_bytes))

    def spend(self, size_bytes: int) -> None:
        """So much data is sent."""
        self._connection_bytes -= size_bytes
        self._stream_bytes -= size_bytes

    def grant_connection(self, increment: int) -> None:
        """Raises MalformedResponse where the window grows beyond its limit."""
        self._connection_bytes = _checked(self._connection_bytes + increment)

    def grant_stream(self, increment: int) -> None:
        """Raises MalformedResponse where the window grows beyond its limit."""
        self._stream_bytes = _checked(self._stream_bytes + increment)

    def change_initial(self, size_bytes: int) -> None:
        """The peer's setting has changed, and with it the open stream's window (RFC 9113, section 6.9.2).

        Raises:
            MalformedResponse: the window grows beyond its limit.
        """
        self._stream_bytes = _checked(self._stream_bytes + size_bytes - self._initial_bytes)
        self._initial_bytes = size_bytes


def _checked(size_bytes: int) -> int:
    if size_bytes > frames.LARGEST_WINDOW_BYTES:
        raise MalformedResponse(f"a window of {size_bytes} bytes")
    return size_bytes
