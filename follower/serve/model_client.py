"""One HTTP call to a server of one model, whatever its interface: to see a service come up, not to put load on it."""

import http.client
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final, Self

from follower.load.tls import open_socket
from follower.serve.protocol import Endpoint
from follower.serve.secure import SecretHeader, Tls

METADATA_TIMEOUT_S: Final = 10.0
SHOWN_BYTES: Final = 200
"""Of an answer that cannot be read."""


class Unreachable(Exception):
    """No answer, or not in time."""


class RefusedByServer(Exception):
    """An answer, but not the one that was hoped for."""

    def __init__(self, status: int, message: str) -> None:
        self.status = status
        super().__init__(f"status {status}: {message}")


@dataclass(frozen=True, kw_only=True)
class ModelClient:
    """One model of one server. Every call uses a connection of its own."""

    host: str
    port: int
    model: str
    authority: str = ""  # host and port as requests name them; "": host and port above
    tls: Tls | None = None  # None: in the clear
    secret: SecretHeader | None = None  # to be sent with every request

    @classmethod
    def of(cls, endpoint: Endpoint) -> Self:
        """Asks the model behind ``endpoint``, as the load will."""
        return cls(
            host=endpoint.host,
            port=endpoint.port,
            model=endpoint.model_name,
            authority=endpoint.authority,
            tls=endpoint.tls,
            secret=endpoint.secret,
        )

    def _exchange(self, method: str, path: str, timeout_s: float, *, body: bytes | None = None) -> bytes:
        """The body of an answer of status 200.

        Raises:
            Unreachable: no answer within ``timeout_s``.
            RefusedByServer: another status; with the server's words.
        """
        try:
            with self._opened(timeout_s) as connection:
                connection.request(method, path, body=body, headers=self._headers())
                response = connection.getresponse()
                content = response.read()
        except (OSError, http.client.HTTPException) as error:
            raise Unreachable(f"{method} {path}: {error or type(error).__name__}") from error
        if response.status != HTTPStatus.OK:
            raise RefusedByServer(response.status, _message(content))
        return content

    @contextmanager
    def _opened(self, timeout_s: float) -> Iterator[http.client.HTTPConnection]:
        """A connection, encrypted where it has to be, which ends in time. Raises OSError."""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=timeout_s)
        with closing(connection):
            if self.tls is not None:
                connection.sock = open_socket(self.host, self.port, self.tls, "http", timeout_s)
            with _cut_off_after(timeout_s, connection):
                yield connection

    def _headers(self) -> dict[str, str]:
        """What every request carries beside what HTTP itself needs."""
        named = {"Host": self.authority} if self.authority else {}
        return named if self.secret is None else {**named, self.secret.name: self.secret.value}


@contextmanager
def _cut_off_after(timeout_s: float, connection: http.client.HTTPConnection) -> Iterator[None]:
    """Ends a call whose peer trickles: a socket's own timeout starts anew with every byte."""
    watchdog = threading.Timer(timeout_s, _cut, [connection])
    watchdog.daemon = True
    watchdog.start()
    try:
        yield
    finally:
        watchdog.cancel()


def _cut(connection: http.client.HTTPConnection) -> None:
    sock = connection.sock
    if sock is not None:
        with suppress(OSError):
            socket.socket.shutdown(sock, socket.SHUT_RDWR)  # not TLS's own, which would wait for its reader


def _message(content: bytes) -> str:
    """The text of an error object, or else the answer as it is."""
    try:
        document = json.loads(content)
    except ValueError:
        return content[:SHOWN_BYTES].decode(errors="replace")
    return str(document.get("error", document)) if isinstance(document, dict) else str(document)
