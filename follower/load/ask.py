"""One request over a connection of its own: to see what a service answers, not to put load on it."""

import time
from typing import Final

from follower.load.codec import Codec, MalformedResponse
from follower.load.dialects import DIALECTS
from follower.load.protocol import Target
from follower.load.tls import open_socket

_OK: Final = 200
_READ_BYTES: Final = 256 * 1024


class NoAnswer(Exception):
    """The service answered a request not at all (``status`` 0), or not with a result."""

    def __init__(self, message: str, status: int = 0) -> None:
        self.status = status
        super().__init__(message)


def ask(target: Target, request: bytes, timeout_ns: int) -> Codec:
    """Sends one finished request; the codec of its successful answer, which holds the body.

    Raises:
        NoAnswer: no usable answer.
    """
    codec = DIALECTS[target.dialect].codec(target, keep_body=True)
    deadline_ns = time.monotonic_ns() + timeout_ns
    try:
        with open_socket(target.host, target.port, target.tls, target.protocol, timeout_ns / 1e9) as connection:
            connection.sendall(codec.greeting())
            connection.sendall(codec.start(request))
            while not _is_whole(codec, connection.recv(_READ_BYTES)):
                connection.settimeout(_left_s(deadline_ns))
                connection.sendall(codec.outgoing())
    except (OSError, MalformedResponse) as error:
        is_bare = target.secret is None or isinstance(error, OSError)  # what does not quote an answer
        raise NoAnswer(_without_secret(target, str(error))) from (error if is_bare else None)
    if codec.status != _OK:
        raise NoAnswer(_without_secret(target, codec.explanation), codec.status)
    return codec


def _without_secret(target: Target, said: str) -> str:
    """What a service says of a failure may repeat what it was sent."""
    return said if target.secret is None else target.secret.hidden_in(said)


def _left_s(deadline_ns: int) -> float:
    """A socket's own time limit starts anew with every byte; this one does not."""
    left_s = (deadline_ns - time.monotonic_ns()) / 1e9
    if left_s <= 0:
        raise TimeoutError("the answer did not end in time")
    return left_s


def _is_whole(codec: Codec, data: bytes) -> bool:
    """Whether the answer is complete with ``data``; the end of the connection, without any, may be how it ends."""
    if data:
        return codec.feed(memoryview(data))
    if codec.feed_eof():
        return True
    raise ConnectionResetError("the service closed the connection")
