"""A server that speaks TensorFlow Serving's protocol while it runs, seen from the follower."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

from follower.serve.launch.exits import explain
from follower.serve.launch.log import tail
from follower.serve.launch.protocol import Launched
from follower.serve.modelserver.readiness import Progress, Step
from follower.serve.openinference.client import RefusedByServer, Unreachable
from follower.serve.openinference.tensors import ModelMetadata
from follower.serve.protocol import Endpoint, ServeRequest, ServerStatistics
from follower.serve.tensorflow.arrival import Arrival
from follower.serve.tensorflow.command_line import HOST
from follower.serve.tensorflow.first_inference import infer_zeros
from follower.serve.tensorflow.prometheus import statistics_of
from follower.serve.tensorflow.rest_client import RestClient
from shared.errors import AttemptFailed
from shared.jobs.lifecycle import Cause
from shared.measure.record import ColdStart

_POLL_S: Final = 0.005
_NS_PER_S: Final = 1_000_000_000

_LOAD_FAILED: Final = "did not become available"
"""How TensorFlow Serving's last words begin when it ends because its model cannot be loaded."""


@dataclass(frozen=True)
class Software:
    """What serves: its name and version in facts, and whether its answers carry their own stages."""

    engine: str
    version: str


class TensorFlowService:
    """Implements ``follower.serve.protocol.Service`` for both platforms."""

    def __init__(
        self, request: ServeRequest, launched: Launched, arrival: Arrival, progress: Progress, software: Software
    ) -> None:
        self._request = request
        self._launched = launched
        self._arrival = arrival
        self._progress = progress
        self._software = software
        self._grpc_port = 0
        self._last_refusal = ""

    @property
    def endpoint(self) -> Endpoint:
        if self._progress.port is None:
            raise AttemptFailed(Cause.SERVER_NOT_READY, "the service has not opened its port yet")
        name = self._request.model_name
        if self._request.service.protocol == "grpc":
            return Endpoint(host=HOST, port=self._grpc_port, model_name=name, dialect="tensorflow-grpc")
        return Endpoint(host=HOST, port=self._progress.port, model_name=name, dialect="tensorflow-rest")

    @property
    def log_path(self) -> Path:
        return self._launched.log_path

    def wait_ready(self, timeout_ns: int) -> ColdStart:
        deadline_ns = time.monotonic_ns() + timeout_ns
        while self._progress.next_step is not Step.DONE:
            self.check()
            remaining_s = (deadline_ns - time.monotonic_ns()) / _NS_PER_S
            if remaining_s <= 0:
                raise self._not_ready(timeout_ns)
            if not self._advance(remaining_s):
                time.sleep(min(_POLL_S, remaining_s))
        return self._progress.cold_start()

    def metadata(self) -> ModelMetadata:
        try:
            return self._client().metadata()
        except (Unreachable, RefusedByServer) as error:
            self.check()
            detail = f"the server runs but does not describe its model: {error}"
            raise AttemptFailed(Cause.SERVER_DIED, detail, log_tail=tail(self.log_path)) from error

    def facts(self) -> Mapping[str, Any]:
        return {"engine": self._software.engine, "version": self._software.version, **self._progress.facts}

    def statistics(self) -> ServerStatistics | None:
        """From the monitoring page; None where it cannot be read now."""
        try:
            return statistics_of(self._client().counters())
        except (Unreachable, RefusedByServer):
            return None

    def request_stages(self) -> None:
        """The stand-in's answers carry them; TensorFlow Serving writes nothing down of single requests."""

    def pids(self) -> tuple[int, ...]:
        return self._launched.pids()

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

    def stop(self) -> None:
        self._launched.stop()

    def _advance(self, timeout_s: float) -> bool:
        """Does the next step; says whether it brought the start any further."""
        before = self._progress
        match before.next_step:
            case Step.AWAIT_PORT | Step.AWAIT_MODEL:
                self._progress = self._after_arrival(before)
            case Step.ASK_READY:
                if self._asked(timeout_s):
                    self._progress = replace(before, ready_ns=time.monotonic_ns())
            case _:
                if self._inferred(timeout_s):
                    self._progress = replace(before, first_inference_ns=time.monotonic_ns())
        return self._progress != before

    def _after_arrival(self, before: Progress) -> Progress:
        events = self._arrival.events()
        for event in events:
            if event.name == "listening":
                self._grpc_port = int((event.facts or {})["grpc_port"])
        return before.after(events)

    def _asked(self, timeout_s: float) -> bool:
        try:
            self._client().is_available(timeout_s)
        except (Unreachable, RefusedByServer) as error:
            self._last_refusal = str(error)
            return False
        return True

    def _inferred(self, timeout_s: float) -> bool:
        """Whether one real inference was answered; 503 means not yet, any other refusal will not go away.

        Raises:
            AttemptFailed: MODEL_LOAD_FAILED if the model runs but cannot be executed.
        """
        try:
            inputs = self._client().metadata(timeout_s).inputs
            infer_zeros(self.endpoint, inputs, timeout_s, self._request.example_shapes)
        except Unreachable as error:
            self._last_refusal = str(error)
            return False
        except RefusedByServer as error:
            if error.status != HTTPStatus.SERVICE_UNAVAILABLE:
                raise AttemptFailed(
                    Cause.MODEL_LOAD_FAILED,
                    f"the model was loaded, but its first inference, of zeros, failed: {error}",
                    log_tail=tail(self.log_path),
                ) from error
            self._last_refusal = str(error)
            return False
        return True

    def _client(self) -> RestClient:
        port = self._progress.port
        if port is None:
            raise Unreachable("the service has not opened its port yet")
        return RestClient(host=HOST, port=port, model=self._request.model_name)

    def _not_ready(self, timeout_ns: int) -> AttemptFailed:
        last = f"; last answer: {self._last_refusal}" if self._last_refusal else ""
        detail = f"not ready within {timeout_ns / _NS_PER_S:g} s, still waiting for {self._progress.next_step}{last}"
        return AttemptFailed(Cause.SERVER_NOT_READY, detail, log_tail=tail(self.log_path))
