"""A plain blocking loop around a codec: what a sender does, without its clock."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager

from follower.load.codec import Codec
from follower.load.dialects import DIALECTS
from follower.load.protocol import Target
from follower.load.tls import open_socket

RECEIVE_BYTES = 64 * 1024


class CodecClient:
    """One connection and its codec."""

    def __init__(self, connection: socket.socket, codec: Codec, receive_bytes: int) -> None:
        self.codec = codec
        self.socket = connection
        self._receive_bytes = receive_bytes
        connection.sendall(codec.greeting())

    def ask(self, request: bytes) -> Codec:
        """One exchange.

        Raises:
            ConnectionResetError: the server closed the connection in the middle of it.
        """
        self.begin(request)
        while not self.receive():
            continue
        return self.codec

    def begin(self, request: bytes) -> None:
        """Sends what may be sent at once."""
        self.socket.sendall(self.codec.start(request))

    def receive(self) -> bool:
        """Takes the next bytes and says what they call for; True once the exchange is complete."""
        data = self.socket.recv(self._receive_bytes)
        if not data:
            raise ConnectionResetError("the server closed the connection")
        complete = self.codec.feed(memoryview(data))
        self.socket.sendall(self.codec.outgoing())
        return complete


@contextmanager
def codec_client(target: Target, *, receive_bytes: int = RECEIVE_BYTES) -> Iterator[CodecClient]:
    """Connected until the context is left."""
    codec = DIALECTS[target.dialect].codec(target, keep_body=True)
    with open_socket(target.host, target.port, target.tls, target.protocol, 30) as connection:
        yield CodecClient(connection, codec, receive_bytes)
