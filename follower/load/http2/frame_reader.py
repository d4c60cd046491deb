"""Cuts a stream of bytes, split anyhow, into HTTP/2 frames. Pure."""

from follower.load.codec import MalformedResponse
from follower.load.http2.frames import HEADER

Frame = tuple[int, int, int, memoryview]
"""Type, flags, stream, payload. The payload lies in the reader's or its caller's memory until the next ``feed``."""


class FrameReader:
    """One connection's frames, in order."""

    def __init__(self, max_frame_bytes: int) -> None:
        self._max_frame_bytes = max_frame_bytes
        self._partial = bytearray()  # a frame that has not come whole

    def feed(self, data: memoryview) -> list[Frame]:
        """The frames that are whole with these bytes.

        Raises:
            MalformedResponse: a frame is larger than was announced.
        """
        frames: list[Frame] = []
        position = self._complete(data, frames) if self._partial else 0
        end = len(data)
        while end - position >= HEADER.size:
            high, low, kind, flags, stream = HEADER.unpack_from(data, position)
            start = position + HEADER.size
            stop = start + (high << 16 | low)
            if stop - start > self._max_frame_bytes:
                raise MalformedResponse(f"a frame of {stop - start} bytes, at most {self._max_frame_bytes} are allowed")
            if stop > end:
                break
            frames.append((kind, flags, stream & 0x7FFF_FFFF, data[start:stop]))
            position = stop
        if position < end:
            self._partial += data[position:]
        return frames

    def _complete(self, data: memoryview, frames: list[Frame]) -> int:
        """Adds what is missing of the partial frame; how many bytes of ``data`` that took."""
        taken = self._fill(HEADER.size, data)
        if len(self._partial) < HEADER.size:
            return taken
        high, low, kind, flags, stream = HEADER.unpack_from(self._partial)
        length = high << 16 | low
        if length > self._max_frame_bytes:
            raise MalformedResponse(f"a frame of {length} bytes, at most {self._max_frame_bytes} are allowed")
        taken += self._fill(HEADER.size + length, data[taken:])
        if len(self._partial) == HEADER.size + length:
            frames.append((kind, flags, stream & 0x7FFF_FFFF, memoryview(self._partial)[HEADER.size :]))
            self._partial = bytearray()
        return taken

    def _fill(self, size: int, data: memoryview) -> int:
        piece = data[: max(0, size - len(self._partial))]
        self._partial += piece
        return len(piece)
