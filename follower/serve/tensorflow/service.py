"""A server that speaks TensorFlow Serving's protocol while it runs, seen from the follower."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from follower.serve.command_service import CommandService
from follower.serve.launch.exits import explain
from follower.serve.launch.log import tail
from follower.serve.launch.protocol import Launched
from follower.serve.model_client import RefusedByServer, Unreachable
from follower.serve.openinference.tensors import ModelMetadata
from follower.serve.protocol import Endpoint, ServeRequest, ServerStatistics
from follower.serve.readiness import Progress
from follower.serve.tensorflow.arrival import Arrival
from follower.serve.tensorflow.prometheus import statistics_of
from follower.serve.tensorflow.rest_client import RestClient
from shared.errors import AttemptFailed
from shared.jobs.lifecycle import Cause

_LOAD_FAILED: Final = "did not become available"
"""How TensorFlow Serving's last words begin when it ends because its model cannot be loaded."""


@dataclass(frozen=True)
class Software:
    """What serves, as facts name it."""

    engine: str
    version: str


class TensorFlowService(CommandService):
    """Implements ``follower.serve.protocol.Service`` for both platforms."""

    def __init__(
        self, request: ServeRequest, launched: Launched, arrival: Arrival, progress: Progress, software: Software
    ) -> None:
        super().__init__(request, launched, progress)
        self._arrival = arrival
        self._software = software
        self._grpc_port = 0

    @property
    def endpoint(self) -> Endpoint:
        if self._progress.port is None:
            raise AttemptFailed(Cause.SERVER_NOT_READY, "the service has not opened its port yet")
        host, name = self._launched.address, self._request.model_name
        if self._request.service.protocol == "grpc":
            return Endpoint(host=host, port=self._grpc_port, model_name=name, dialect="tensorflow-grpc")
        return Endpoint(host=host, port=self._progress.port, model_name=name, dialect="tensorflow-rest")

    def facts(self) -> Mapping[str, Any]:
        launch = dict(self._launched.facts())
        software = {"engine": self._software.engine, "version": self._software.version}
        return {**software, **self._progress.facts, "launch": launch}

    def statistics(self) -> ServerStatistics | None:
        """From the monitoring page; None where it cannot be read now."""
        try:
            return statistics_of(self._client().counters())
        except (Unreachable, RefusedByServer):
            return None

    def request_stages(self) -> None:
        """The stand-in's answers carry them; TensorFlow Serving writes nothing down of single requests."""

    def check(self) -> None:
        exit_ = self._launched.poll()
        if exit_ is None:
            return
        log_tail = tail(self.log_path)
        failure = explain(exit_, log_tail)
        if failure.cause is Cause.SERVER_DIED and _LOAD_FAILED in log_tail:
            said = next(line for line in reversed(log_tail.splitlines()) if _LOAD_FAILED in line)
            raise AttemptFailed(Cause.MODEL_LOAD_FAILED, said.strip(), log_tail=log_tail)
        raise failure

    def _reached(self) -> Progress:
        events = self._arrival.events()
        for event in events:
            if event.name == "listening":
                self._grpc_port = int((event.facts or {})["grpc_port"])
        return self._progress.after(events)

    def _ask_ready(self, timeout_s: float) -> None:
        self._client().is_available(timeout_s)

    def _described(self, timeout_s: float) -> ModelMetadata:
        return self._client().metadata(timeout_s)

    def _client(self) -> RestClient:
        port = self._progress.port
        if port is None:
            raise Unreachable("the service has not opened its port yet")
        return RestClient(host=self._launched.address, port=port, model=self._request.model_name)
