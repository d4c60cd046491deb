"""Requests that carry their number as the protocol's id, so that what the server writes down of each can be joined.

A request is made ahead with room for the number at one place, and the number is written over it: nothing is built
anew for a send, and the bytes are copied only for as many requests of one payload as are in flight together.
"""

from collections.abc import Callable, Mapping
from typing import Final

from follower.load.encode import UNNUMBERED
from follower.load.exchange import Exchange
from follower.load.infer_message import ID_AT
from follower.load.protocol import Target
from follower.serve.protocol import DialectName

WIDTH: Final = len(UNNUMBERED)

_HTTP_ID: Final = b'\r\n\r\n{"id":"'

_PLACES: Final[Mapping[DialectName, Callable[[bytearray], int]]] = {
    "openinference-http": lambda request: request.index(_HTTP_ID) + len(_HTTP_ID),
    "openinference-grpc": lambda _request: ID_AT,
}
"""Where the room for the number is, by what is spoken."""


class Numbering:
    """Writes each request's number into it: row * workers + worker, which is the plan's own order of an open loop."""

    def __init__(self, target: Target, *, worker: int = 0, workers: int = 1, same_bytes: bool) -> None:
        """``same_bytes``: every request of a payload has the same bytes beside its number."""
        self._place = _PLACES[target.dialect]
        self._worker = worker
        self._workers = workers
        self._same_bytes = same_bytes
        self._spare: dict[int, list[bytearray]] = {}  # copies of each payload that no exchange uses

    def write(self, exchange: Exchange) -> None:
        """Gives the exchange a request with its number, which is its own until ``release``."""
        spare = self._spare.get(exchange.payload)
        data = spare.pop() if spare else bytearray(exchange.request)
        at = self._place(data)
        data[at : at + WIDTH] = b"%0*d" % (WIDTH, exchange.row * self._workers + self._worker)
        exchange.request = data

    def release(self, exchange: Exchange) -> None:
        """The exchange is over: nobody sends its bytes any more."""
        data = exchange.request
        if self._same_bytes and isinstance(data, bytearray):
            self._spare.setdefault(exchange.payload, []).append(data)
            exchange.request = b""
