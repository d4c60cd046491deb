"""One request over a connection of its own: to see what a service answers, not to put load on it."""

import socket
from typing import Final

from follower.load.codec import Codec, MalformedResponse
from follower.load.dialects import DIALECTS
from follower.load.protocol import Target

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
    try:
        with socket.create_connection((target.host, target.port), timeout=timeout_ns / 1e9) as connection:
            connection.sendall(codec.greeting())
            connection.sendall(codec.start(request))
            while not codec.feed(memoryview(_receive(connection))):
                connection.sendall(codec.outgoing())
    except (OSError, MalformedResponse) as error:
        raise NoAnswer(str(error)) from error
    if codec.status != _OK:
        raise NoAnswer(codec.explanation, codec.status)
    return codec


def _receive(connection: socket.socket) -> bytes:
    data = connection.recv(_READ_BYTES)
    if not data:
        raise ConnectionResetError("the service closed the connection")
    return data
