"""One request to the real service, and its answer to the last byte: what the null server will say."""

import socket
from typing import Final

from follower.calibrate.null_process import CalibrationFailed
from follower.calibrate.replies import Script, with_prefix
from follower.load.codec import Codec, MalformedResponse
from follower.load.dialects import DIALECTS
from follower.load.protocol import Target

_OK: Final = 200
_READ_BYTES: Final = 1 << 20


def script_of(target: Target, request: bytes, timeout_ns: int) -> Script:
    """Asks once, over a connection of its own. ``request`` is what ``Codec.start`` takes.

    Raises:
        CalibrationFailed: no answer, or none that says success.
    """
    codec = DIALECTS[target.dialect].codec(target, keep_body=True)
    try:
        with socket.create_connection((target.host, target.port), timeout=timeout_ns / 1e9) as connection:
            connection.sendall(codec.greeting())
            connection.sendall(codec.start(request))
            received, closes = _receive(connection, codec)
    except (OSError, MalformedResponse) as error:
        raise CalibrationFailed(f"the service did not answer a request of its own: {error}") from error
    if codec.status != _OK:
        raise CalibrationFailed(f"the service answered with {codec.explanation}")
    response = with_prefix(codec.body) if target.protocol == "grpc" else received
    return Script(protocol=target.protocol, request_bytes=len(request), response=response, closes=closes)


def _receive(connection: socket.socket, codec: Codec) -> tuple[bytes, bool]:
    """All bytes of the answer, and whether the end of the connection is how it ends.

    Raises:
        OSError: the connection was lost.
        MalformedResponse: this is no answer.
    """
    received = bytearray()
    while True:
        data = connection.recv(_READ_BYTES)
        if not data:
            if codec.feed_eof():
                return bytes(received), True
            raise ConnectionResetError("it closed the connection")
        received += data
        if codec.feed(memoryview(data)):
            return bytes(received), False
        connection.sendall(codec.outgoing())
