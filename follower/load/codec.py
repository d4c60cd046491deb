"""The seam between a connection and what is spoken on it: bytes in, bytes out; no socket and no clock.

A codec belongs to one connection and carries one exchange at a time. Obligations of every implementation:

* ``feed`` accepts any split of the stream and never blocks; anything ambiguous raises MalformedResponse.
* The results (``status``, ``number``, ``body``, ``keep_alive``) are right once ``feed`` or ``feed_eof`` returned True.
* What the protocol itself makes the client say (acknowledgements, window updates, the rest of a request that flow
  control held back) is handed out by ``outgoing`` and sent at once.
"""

from typing import Protocol


class MalformedResponse(ValueError):
    """The bytes are not what the protocol allows."""


class ResponseReset(MalformedResponse):
    """The peer broke this exchange off (HTTP/2 RST_STREAM): the error kind is ``reset``, the connection is spent."""


class Codec(Protocol):
    """Frames requests and finds the ends of answers on one connection."""

    status: int
    """HTTP status; for gRPC 200 where grpc-status is 0, 599 for any other. 0 before there is one.

    A gRPC answer without a grpc-status (from a proxy) has the HTTP status that it came with.
    """

    keep_alive: bool
    """Whether the connection can carry another exchange; between exchanges it may turn False with any ``feed``."""

    is_unprocessed: bool
    """The peer has said that it did not look at the request (HTTP/2 GOAWAY, REFUSED_STREAM): sending it again is safe.

    ``feed`` has then returned True with status 0.
    """

    def greeting(self) -> bytes:
        """What a new connection says first."""
        ...

    def start(self, request: bytes | bytearray) -> bytes | bytearray | memoryview:
        """Begins an exchange: the bytes to send now."""
        ...

    @property
    def is_sent(self) -> bool:
        """Whether the whole request has been handed out."""
        ...

    def outgoing(self) -> bytes:
        """What has to be sent since the last call; empty for nothing."""
        ...

    def feed(self, data: memoryview) -> bool:
        """Takes the next bytes; True once the response of the exchange is complete.

        Between exchanges it takes what the peer says of itself (settings, pings, goaway) and returns False.

        A response may be complete before the request is sent (an error from a server that does not want the rest):
        ``keep_alive`` is then False.

        Raises:
            ResponseReset: the peer broke the exchange off.
            MalformedResponse: the bytes are not what the protocol allows.
        """
        ...

    def feed_eof(self) -> bool:
        """The stream has ended; True if that is how this response ends."""
        ...

    def number(self, name: bytes) -> int | None:
        """A response header's (or trailer's) value as a non-negative integer; None where it is none."""
        ...

    @property
    def body(self) -> bytes:
        """The response's body (gRPC: the message), where the codec was made to keep it."""
        ...

    @property
    def explanation(self) -> str:
        """What the peer says of a failure, for a person: the status and the beginning of its words."""
        ...
