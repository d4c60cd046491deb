"""A small client of the Open Inference Protocol v2 over HTTP: to see a service come up, not to put load on it."""

import http.client
import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import quote

from follower.serve.openinference.tensors import ModelMetadata, TensorInfo

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
        connection = http.client.HTTPConnection(self.host, self.port, timeout=timeout_s)
        try:
            with cut_off_after(timeout_s, connection):
                connection.request(method, path, body=body, headers={"Host": self.authority} if self.authority else {})
                response = connection.getresponse()
                content = response.read()
        except (OSError, http.client.HTTPException) as error:
            raise Unreachable(f"{method} {path}: {error or type(error).__name__}") from error
        finally:
            connection.close()
        if response.status != HTTPStatus.OK:
            raise RefusedByServer(response.status, _message(content))
        return content


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
            sock.shutdown(2)


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
