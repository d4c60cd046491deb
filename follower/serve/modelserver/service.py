"""Our own model server while it runs, seen from the follower."""

import time
from collections.abc import Mapping
from dataclasses import replace
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

from follower.serve.launch.exits import explain
from follower.serve.launch.log import tail
from follower.serve.launch.protocol import Launched
from follower.serve.modelserver import status
from follower.serve.modelserver.pipelined import pipelined
from follower.serve.modelserver.readiness import Progress, Step
from follower.serve.openinference.client import OpenInferenceClient, RefusedByServer, Unreachable
from follower.serve.openinference.tensors import ModelMetadata
from follower.serve.protocol import Endpoint, ServeRequest
from shared.errors import AttemptFailed
from shared.jobs.lifecycle import Cause
from shared.measure.record import ColdStart

_POLL_S: Final = 0.005
_NS_PER_S: Final = 1_000_000_000


class ModelServerService:
    """Implements ``follower.serve.protocol.Service``."""

    def __init__(self, request: ServeRequest, launched: Launched, status_path: Path, progress: Progress) -> None:
        self._request = request
        self._launched = launched
        self._status_path = status_path
        self._progress = progress
        self._last_refusal = ""

    @property
    def endpoint(self) -> Endpoint:
        port = self._progress.port
        if port is None:
            raise AttemptFailed(Cause.SERVER_NOT_READY, "the service has not opened its port yet")
        return Endpoint(
            host=self._launched.address,
            port=port,
            model_name=self._request.model_name,
            pipeline_model=pipelined(self._request.model_name) if self._request.pipeline else None,
        )

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
        launch = dict(self._launched.facts())
        return {"engine": self._request.service.platform, **self._progress.facts, "launch": launch}

    def statistics(self) -> None:
        """Answers say more: each carries its own stages."""

    def request_stages(self) -> None:
        """Answers carry them."""

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
                self._progress = before.after(status.read(self._status_path))
            case Step.ASK_READY:
                if self._asked(timeout_s):
                    self._progress = replace(before, ready_ns=time.monotonic_ns())
            case _:
                if self._inferred(timeout_s):
                    self._progress = replace(before, first_inference_ns=time.monotonic_ns())
        return self._progress != before

    def _asked(self, timeout_s: float) -> bool:
        try:
            self._client().is_ready(timeout_s)
        except (Unreachable, RefusedByServer) as error:
            self._last_refusal = str(error)
            return False
        return True

    def _inferred(self, timeout_s: float) -> bool:
        """Whether one real inference was answered; 503 means not yet, any other refusal will not go away.

        Raises:
            AttemptFailed: MODEL_LOAD_FAILED if the model runs but cannot be executed.
        """
        client = self._client()
        try:
            inputs = client.metadata(timeout_s).inputs
            client.infer_zeros(inputs, timeout_s, self._request.example_shapes)
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

    def _client(self) -> OpenInferenceClient:
        endpoint = self.endpoint
        return OpenInferenceClient(host=endpoint.host, port=endpoint.port, model=endpoint.model_name)

    def _not_ready(self, timeout_ns: int) -> AttemptFailed:
        last = f"; last answer: {self._last_refusal}" if self._last_refusal else ""
        detail = f"not ready within {timeout_ns / _NS_PER_S:g} s, still waiting for {self._progress.next_step}{last}"
        return AttemptFailed(Cause.SERVER_NOT_READY, detail, log_tail=tail(self.log_path))
