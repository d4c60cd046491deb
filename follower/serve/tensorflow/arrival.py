"""How far a starting server has come: as the stand-in reports it, or as it looks from outside."""

import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from follower.serve import status
from follower.serve.model_client import RefusedByServer, Unreachable
from follower.serve.status import StatusEvent
from follower.serve.tensorflow.rest_client import RestClient

_CONNECT_TIMEOUT_S: Final = 0.5
_ASK_TIMEOUT_S: Final = 2.0
_FREE_PORT_TRIES: Final = 2


class Arrival(Protocol):
    """Where the events of a cold start come from. "listening" holds the REST port, and the gRPC port as a fact."""

    def events(self) -> Sequence[StatusEvent]:
        """All that has been reached, each stamped when it was."""
        ...


@dataclass(frozen=True)
class Reported:
    """The stand-in's own stamps."""

    path: Path

    def events(self) -> Sequence[StatusEvent]:
        return status.read(self.path)


class Watched:
    """A server that reports nothing: its port is tried, then its status is asked for. Stamped when it was seen."""

    def __init__(self, client: RestClient, grpc_port: int) -> None:
        self._client = client
        self._grpc_port = grpc_port
        self._seen: list[StatusEvent] = []

    def events(self) -> Sequence[StatusEvent]:
        if not self._seen:
            if self._is_open():
                facts = {"grpc_port": self._grpc_port}
                self._see(StatusEvent(name="listening", at_ns=time.monotonic_ns(), port=self._client.port, facts=facts))
        elif len(self._seen) == 1 and self._is_loaded():
            self._see(StatusEvent(name="model-loaded", at_ns=time.monotonic_ns()))
        return self._seen

    def _see(self, event: StatusEvent) -> None:
        self._seen = [*self._seen, event]

    def _is_open(self) -> bool:
        try:
            socket.create_connection((self._client.host, self._client.port), _CONNECT_TIMEOUT_S).close()
        except OSError:
            return False
        return True

    def _is_loaded(self) -> bool:
        try:
            self._client.is_available(_ASK_TIMEOUT_S)
        except (Unreachable, RefusedByServer):
            return False
        return True
