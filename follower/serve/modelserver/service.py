"""Our own model server while it runs, seen from the follower."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from follower.serve import status
from follower.serve.command_service import CommandService
from follower.serve.launch.protocol import Launched
from follower.serve.modelserver.pipelined import pipelined
from follower.serve.openinference.client import OpenInferenceClient
from follower.serve.openinference.tensors import ModelMetadata
from follower.serve.protocol import Endpoint, ServeRequest
from follower.serve.readiness import Progress
from shared.errors import AttemptFailed
from shared.jobs.lifecycle import Cause


class ModelServerService(CommandService):
    """Implements ``follower.serve.protocol.Service``."""

    def __init__(self, request: ServeRequest, launched: Launched, status_path: Path, progress: Progress) -> None:
        super().__init__(request, launched, progress)
        self._status_path = status_path

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

    def facts(self) -> Mapping[str, Any]:
        launch = dict(self._launched.facts())
        return {"engine": self._request.service.platform, **self._progress.facts, "launch": launch}

    def statistics(self) -> None:
        """Answers say more: each carries its own stages."""

    def request_stages(self) -> None:
        """Answers carry them."""

    def _reached(self) -> Progress:
        return self._progress.after(status.read(self._status_path))

    def _ask_ready(self, timeout_s: float) -> None:
        self._client().is_ready(timeout_s)

    def _described(self, timeout_s: float) -> ModelMetadata:
        return self._client().metadata(timeout_s)

    def _client(self) -> OpenInferenceClient:
        return OpenInferenceClient.of(self.endpoint)
