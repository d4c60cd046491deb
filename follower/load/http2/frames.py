"""HTTP/2 frames to and from bytes (RFC 9113, sections 4 and 6), as far as a client needs them. Pure."""

import struct
from collections.abc import Iterable, Iterator
from typing import Final

from follower.load.codec import MalformedResponse

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

DATA: Final = 0
HEADERS: Final = 1
PRIORITY: Final = 2
RST_STREAM: Final = 3
SETTINGS: Final = 4
PUSH_PROMISE: Final = 5
PING: Final = 6
GOAWAY: Final = 7
WINDOW_UPDATE: Final = 8
CONTINUATION: Final = 9

END_STREAM: Final = 0x01
ACK: Final = 0x01
END_HEADERS: Final = 0x04
PADDED: Final = 0x08
PRIORITISED: Final = 0x20

SETTING_ENABLE_PUSH: Final = 2
SETTING_INITIAL_WINDOW: Final = 4
SETTING_MAX_FRAME: Final = 5

NO_ERROR: Final = 0
REFUSED_STREAM: Final = 7
ERROR_NAMES: Final = (
    "NO_ERROR",
    "PROTOCOL_ERROR",
    "INTERNAL_ERROR",
    "FLOW_CONTROL_ERROR",
    "SETTINGS_TIMEOUT",
    "STREAM_CLOSED",
    "FRAME_SIZE_ERROR",
    "REFUSED_STREAM",
    "CANCEL",
    "COMPRESSION_ERROR",
    "CONNECT_ERROR",
    "ENHANCE_YOUR_CALM",
    "INADEQUATE_SECURITY",
    "HTTP_1_1_REQUIRED",
)
"""RFC 9113, section 7, by code."""

DEFAULT_WINDOW_BYTES: Final = 65_535
DEFAULT_MAX_FRAME_BYTES: Final = 16_384
LARGEST_MAX_FRAME_BYTES: Final = (1 << 24) - 1
LARGEST_WINDOW_BYTES: Final = (1 << 31) - 1
LARGEST_STREAM: Final = (1 << 31) - 1

HEADER: Final = struct.Struct(">BHBBI")  # length's high byte, its low two bytes, type, flags, stream
_SETTING: Final = struct.Struct(">HI")
_NUMBER: Final = struct.Struct(">I")
_GOAWAY_HEAD: Final = struct.Struct(">II")
_PRIORITY_BYTES: Final = 5
_PING_BYTES: Final = 8
_WITHOUT_RESERVED_BIT: Final = 0x7FFF_FFFF


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    """One frame."""
    return HEADER.pack(len(payload) >> 16, len(payload) & 0xFFFF, kind, flags, stream) + payload


def settings(values: Iterable[tuple[int, int]]) -> bytes:
    """A SETTINGS frame: pairs of identifier and value."""
    return frame(SETTINGS, 0, 0, b"".join(_SETTING.pack(*pair) for pair in values))


def window_update(stream: int, increment: int) -> bytes:
    """Lets the peer send ``increment`` more bytes on the stream, or (0) on the connection."""
    return frame(WINDOW_UPDATE, 0, stream, _NUMBER.pack(increment))


SETTINGS_ACK: Final = frame(SETTINGS, ACK, 0, b"")


def ping_ack(payload: memoryview) -> bytes:
    """The answer to a PING."""
    return frame(PING, ACK, 0, bytes(payload))


def unpadded(flags: int, payload: memoryview) -> memoryview:
    """The payload of a DATA or HEADERS frame without its padding.

    Raises:
        MalformedResponse: more padding than payload.
    """
    if not flags & PADDED:
        return payload
    if not payload or payload[0] >= len(payload):
        raise MalformedResponse("a frame is shorter than its padding")
    return payload[1 : len(payload) - payload[0]]


def header_fragment(flags: int, payload: memoryview) -> memoryview:
    """The piece of a header block that a HEADERS frame carries: without padding and priority.

    Raises:
        MalformedResponse: the frame is too short for what its flags announce.
    """
    fragment = unpadded(flags, payload)
    if not flags & PRIORITISED:
        return fragment
    if len(fragment) < _PRIORITY_BYTES:
        raise MalformedResponse("a HEADERS frame is shorter than its priority")
    return fragment[_PRIORITY_BYTES:]


def read_settings(payload: memoryview) -> Iterator[tuple[int, int]]:
    """The pairs of a SETTINGS frame.

    Raises:
        MalformedResponse: its length is no multiple of six, or a value is out of the range of RFC 9113, section 6.5.2.
    """
    if len(payload) % _SETTING.size:
        raise MalformedResponse(f"a SETTINGS frame of {len(payload)} bytes")
    for identifier, value in _SETTING.iter_unpack(payload):
        if identifier == SETTING_INITIAL_WINDOW and value > LARGEST_WINDOW_BYTES:
            raise MalformedResponse(f"an initial window of {value} bytes")
        if identifier == SETTING_MAX_FRAME and not DEFAULT_MAX_FRAME_BYTES <= value <= LARGEST_MAX_FRAME_BYTES:
            raise MalformedResponse(f"a largest frame of {value} bytes")
        yield identifier, value


def read_window_update(payload: memoryview) -> int:
    """The increment of a WINDOW_UPDATE frame.

    Raises:
        MalformedResponse: wrong length, or an increment of zero.
    """
    increment = _number(payload, "WINDOW_UPDATE") & _WITHOUT_RESERVED_BIT
    if not increment:
        raise MalformedResponse("a WINDOW_UPDATE of zero")
    return increment


def read_reset(payload: memoryview) -> int:
    """The error code of a RST_STREAM frame.

    Raises:
        MalformedResponse: wrong length.
    """
    return _number(payload, "RST_STREAM")


def read_goaway(payload: memoryview) -> int:
    """The last stream that the peer of a GOAWAY frame has looked at, or still will.

    Raises:
        MalformedResponse: the frame is too short.
    """
    if len(payload) < _GOAWAY_HEAD.size:
        raise MalformedResponse(f"a GOAWAY frame of {len(payload)} bytes")
    last, _ = _GOAWAY_HEAD.unpack_from(payload)
    return int(last) & _WITHOUT_RESERVED_BIT


def require_ping(payload: memoryview) -> None:
    """Raises MalformedResponse where a PING does not carry its eight bytes."""
    if len(payload) != _PING_BYTES:
        raise MalformedResponse(f"a PING frame of {len(payload)} bytes")


def error_name(code: int) -> str:
    """A code as RFC 9113 calls it."""
    return ERROR_NAMES[code] if code < len(ERROR_NAMES) else f"error {code:#x}"


def _number(payload: memoryview, name: str) -> int:
    if len(payload) != _NUMBER.size:
        raise MalformedResponse(f"a {name} frame of {len(payload)} bytes")
    return int(_NUMBER.unpack(payload)[0])
