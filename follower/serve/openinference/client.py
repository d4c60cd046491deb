"""A small client of the Open Inference Protocol v2 over HTTP: to see a service come up, not to put load on it."""

import http.client
import json
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final, Protocol
from urllib.parse import quote

from follower.load.tls import open_socket
from follower.serve.openinference.tensors import ModelMetadata, TensorInfo
from follower.serve.secure import SecretHeader, Tls

METADATA_TIMEOUT_S: Final = 10.0


class Unreachable(Exception):
    """No answer, or not in time."""


class RefusedByServer(Exception):
    """An answer, but not the one that was hoped for."""

    def __init__(self, status: int, message: str) -> None:
        self.status = status
        super().__init__(f"status {status}: {message}")


@dataclass(frozen=True, kw_only=True)
class OpenInferenceClient:
    """One model of one server. Every call uses a connection of its own."""

    host: str
    port: int
    model: str
    authority: str = ""  # host and port as requests name them; "": host and port above
    tls: Tls | None = None  # None: in the clear
    secret: SecretHeader | None = None  # to be sent with every request

    def is_ready(self, timeout_s: float) -> None:
        """Asks whether the server is ready.

        Raises:
            Unreachable: no answer within ``timeout_s``.
            RefusedByServer: not ready.
        """
        self._exchange("GET", "/v2/health/ready", timeout_s)

    def metadata(self, timeout_s: float = METADATA_TIMEOUT_S) -> ModelMetadata:
        """Asks for the model's names, datatypes and shapes.

        Raises:
            Unreachable: no answer within ``timeout_s``, or none that can be read.
            RefusedByServer: not this model.
        """
        body = self._exchange("GET", self._model_path, timeout_s)
        try:
            document = json.loads(body)
            return ModelMetadata(
                name=document["name"], inputs=_tensors(document["inputs"]), outputs=_tensors(document["outputs"])
            )
        except (ValueError, KeyError, TypeError) as error:
            raise Unreachable(f"the model's metadata cannot be read: {error!r}") from error

    @property
    def _model_path(self) -> str:
        return f"/v2/models/{quote(self.model, safe='')}"

    def _exchange(
        self,
        method: str,
        path: str,
        timeout_s: float,
        *,
        body: bytes | None = None,
    ) -> bytes:
        try:
            with opened(self, timeout_s) as connection:
                connection.request(method, path, body=body, headers=headers_of(self))
                response = connection.getresponse()
                content = response.read()
        except (OSError, http.client.HTTPException) as error:
            raise Unreachable(f"{method} {path}: {error or type(error).__name__}") from error
        if response.status != HTTPStatus.OK:
            raise RefusedByServer(response.status, _message(content))
        return content


class Asked(Protocol):
    """Where a client of this kind asks, and how."""

    @property
    def host(self) -> str: ...

    @property
    def port(self) -> int: ...

    @property
    def authority(self) -> str: ...

    @property
    def tls(self) -> Tls | None: ...

    @property
    def secret(self) -> SecretHeader | None: ...


@contextmanager
def opened(asked: Asked, timeout_s: float) -> Iterator[http.client.HTTPConnection]:
    """A connection of its own for one call, encrypted where it has to be, which ends in time.

    Raises:
        OSError: it cannot be had.
    """
    connection = http.client.HTTPConnection(asked.host, asked.port, timeout=timeout_s)
    with closing(connection):
        if asked.tls is not None:
            connection.sock = open_socket(asked.host, asked.port, asked.tls, "http", timeout_s)
        with cut_off_after(timeout_s, connection):
            yield connection


def headers_of(asked: Asked) -> dict[str, str]:
    """What every request carries beside what HTTP itself needs."""
    named = {"Host": asked.authority} if asked.authority else {}
    return named if asked.secret is None else {**named, asked.secret.name: asked.secret.value}


@contextmanager
def cut_off_after(timeout_s: float, connection: http.client.HTTPConnection) -> Iterator[None]:
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
    try:
        document = json.loads(content)
    except ValueError:
        return content[:200].decode(errors="replace")
    return str(document.get("error", document)) if isinstance(document, dict) else str(document)


def _tensors(entries: Sequence[Any]) -> tuple[TensorInfo, ...]:
    return tuple(
        TensorInfo(name=entry["name"], datatype=entry["datatype"], shape=tuple(entry["shape"])) for entry in entries
    )
