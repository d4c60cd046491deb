"""The server's side of HTTP/2, written out by hand: frames as bytes, and what a client's bytes say."""

from collections.abc import Sequence
from dataclasses import dataclass

import hpack

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM, END_HEADERS, PADDED, PRIORITISED, ACK = 0x1, 0x4, 0x8, 0x20, 0x1
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


@dataclass(frozen=True)
class Spoken:
    """One frame that was read."""

    kind: int
    flags: int
    stream: int
    payload: bytes


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """RFC 9113, section 4.1: 24 bits of length, type, flags, a reserved bit and 31 bits of stream."""
    return len(payload).to_bytes(3) + bytes([kind, flags]) + stream.to_bytes(4) + payload


def settings(*pairs: tuple[int, int]) -> bytes:
    """What a server says first."""
    return frame(SETTINGS, 0, 0, b"".join(name.to_bytes(2) + value.to_bytes(4) for name, value in pairs))


def window_update(stream: int, increment: int) -> bytes:
    """Room for more."""
    return frame(WINDOW_UPDATE, 0, stream, increment.to_bytes(4))


def goaway(last_stream: int, code: int = 0) -> bytes:
    """The server is about to leave."""
    return frame(GOAWAY, 0, 0, last_stream.to_bytes(4) + code.to_bytes(4) + b"bye")


def reset(stream: int, code: int) -> bytes:
    """The server breaks a stream off."""
    return frame(RST_STREAM, 0, stream, code.to_bytes(4))


def prefixed(message: bytes, flag: int = 0) -> bytes:
    """A gRPC message as DATA carries it."""
    return bytes([flag]) + len(message).to_bytes(4) + message


HEAD = ((":status", "200"), ("content-type", "application/grpc"))
TRAILERS = (("grpc-status", "0"), ("grpc-message", ""))


def answer(
    encoder: hpack.Encoder,
    stream: int,
    message: bytes = b"hello",
    trailers: Sequence[tuple[str, str]] = TRAILERS,
) -> bytes:
    """Headers, one message, trailers: how a gRPC server answers."""
    return b"".join(
        [
            frame(HEADERS, END_HEADERS, stream, encoder.encode(HEAD)),
            frame(DATA, 0, stream, prefixed(message)),
            frame(HEADERS, END_HEADERS | END_STREAM, stream, encoder.encode(trailers)),
        ]
    )


def padded(payload: bytes, padding: int) -> bytes:
    """A payload for a frame whose flags say PADDED."""
    return bytes([padding]) + payload + bytes(padding)


def spoken(data: bytes) -> list[Spoken]:
    """The frames of a client's bytes; nothing may be left over."""
    said = []
    while data:
        end = 9 + int.from_bytes(data[:3])
        assert len(data) >= end, "a frame is cut off"
        said.append(Spoken(data[3], data[4], int.from_bytes(data[5:9]), data[9:end]))
        data = data[end:]
    return said
