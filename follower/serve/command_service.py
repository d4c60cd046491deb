"""A service that is one launched command: the wait for its first answer, its end, and what is told of both."""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import replace
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

from follower.load.ask import NoAnswer
from follower.load.encode import MalformedAnswer
from follower.serve.first_inference import zeros_inferred
from follower.serve.launch.exits import explain
from follower.serve.launch.log import tail
from follower.serve.launch.protocol import Launched
from follower.serve.model_client import METADATA_TIMEOUT_S, RefusedByServer, Unreachable
from follower.serve.openinference.tensors import ModelMetadata
from follower.serve.protocol import Endpoint, RequestStages, ServeRequest, ServerStatistics
from follower.serve.readiness import Progress, Step, not_ready
from shared.errors import AttemptFailed
from shared.jobs.lifecycle import Cause
from shared.measure.record import ColdStart

_POLL_S: Final = 0.005
_NS_PER_S: Final = 1_000_000_000
_UNAVAILABLE: Final = "grpc-status 14"
"""How an answer over gRPC begins that says what status 503 says over HTTP."""


class CommandService(ABC):
    """Implements ``follower.serve.protocol.Service``, but for what differs from software to software."""

    def __init__(self, request: ServeRequest, launched: Launched, progress: Progress) -> None:
        self._request = request
        self._launched = launched
        self._progress = progress
        self._last_refusal = ""

    @property
    @abstractmethod
    def endpoint(self) -> Endpoint: ...

    @abstractmethod
    def facts(self) -> Mapping[str, Any]: ...

    @abstractmethod
    def statistics(self) -> ServerStatistics | None: ...

    @abstractmethod
    def request_stages(self) -> RequestStages | None: ...

    @abstractmethod
    def _reached(self) -> Progress:
        """The progress, with what the command has shown of its port and its model since the last look."""

    @abstractmethod
    def _ask_ready(self, timeout_s: float) -> None:
        """Raises Unreachable or RefusedByServer while it is not ready."""

    @abstractmethod
    def _described(self, timeout_s: float) -> ModelMetadata:
        """Raises Unreachable or RefusedByServer."""

    @property
    def log_path(self) -> Path:
        return self._launched.log_path

    def wait_ready(self, timeout_ns: int) -> ColdStart:
        deadline_ns = time.monotonic_ns() + timeout_ns
        while self._progress.next_step is not Step.DONE:
            self.check()
            remaining_s = (deadline_ns - time.monotonic_ns()) / _NS_PER_S
            if remaining_s <= 0:
                raise not_ready(self._progress, timeout_ns, self._last_refusal, tail(self.log_path))
            if not self._advance(remaining_s):
                time.sleep(min(_POLL_S, remaining_s))
        return self._progress.cold_start()

    def metadata(self) -> ModelMetadata:
        self.check()  # in the place of a dead container nobody refuses a connection: asking it takes the whole timeout
        try:
            return self._described(METADATA_TIMEOUT_S)
        except (Unreachable, RefusedByServer) as error:
            self.check()
            detail = f"the server runs but does not describe its model: {error}"
            raise AttemptFailed(Cause.SERVER_DIED, detail, log_tail=tail(self.log_path)) from error

    def pids(self) -> tuple[int, ...]:
        return self._launched.pids()

    def check(self) -> None:
        exit_ = self._launched.poll()
        if exit_ is not None:
            raise explain(exit_, tail(self.log_path))

    def stop(self) -> None:
        self._launched.stop()

    def _advance(self, timeout_s: float) -> bool:
        """Does the next step; says whether it brought the start any further."""
        before = self._progress
        match before.next_step:
            case Step.AWAIT_PORT | Step.AWAIT_MODEL:
                self._progress = self._reached()
            case Step.ASK_READY:
                if self._succeeds(self._ask_ready, timeout_s):
                    self._progress = replace(before, ready_ns=time.monotonic_ns())
            case _:
                if self._succeeds(self._infer, timeout_s):
                    self._progress = replace(before, first_inference_ns=time.monotonic_ns())
        return self._progress != before

    def _succeeds(self, step: Callable[[float], None], timeout_s: float) -> bool:
        try:
            step(timeout_s)
        except (Unreachable, RefusedByServer, MalformedAnswer, NoAnswer) as error:
            self._last_refusal = str(error)
            return False
        return True

    def _infer(self, timeout_s: float) -> None:
        """One real inference, of zeros. Status 503 means not yet, any other refusal will not go away.

        Raises:
            Unreachable, RefusedByServer, NoAnswer, MalformedAnswer: not yet.
            AttemptFailed: MODEL_LOAD_FAILED if the model runs but cannot be executed.
        """
        try:
            inputs = self._described(timeout_s).inputs
            zeros_inferred(self.endpoint, inputs, timeout_s, self._request.example_shapes)
        except (NoAnswer, RefusedByServer) as error:
            is_early = error.status in {0, HTTPStatus.SERVICE_UNAVAILABLE} or str(error).startswith(_UNAVAILABLE)
            if is_early:
                raise
            raise AttemptFailed(
                Cause.MODEL_LOAD_FAILED,
                f"the model was loaded, but its first inference, of zeros, failed: {error}",
                log_tail=tail(self.log_path),
            ) from error
