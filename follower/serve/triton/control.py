"""What Triton is asked beside inferences: to load a model, what it counts, what it traces. Over HTTP.

Source: Triton's protocol extensions "model repository", "model configuration", "statistics" and "trace".
"""

import json
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

from follower.serve.model_client import Unreachable
from follower.serve.openinference.client import OpenInferenceClient

ANSWER_TIMEOUT_S: Final = 5.0


class TritonControl(OpenInferenceClient):
    """One model of one server."""

    def server(self, timeout_s: float = ANSWER_TIMEOUT_S) -> Mapping[str, Any]:
        """Name and version of the server. Raises as every call here: Unreachable, RefusedByServer."""
        return self._document("GET", "/v2", timeout_s)

    def load(self, timeout_s: float) -> None:
        """Returns once the model is loaded; RefusedByServer says why it cannot be."""
        self._exchange("POST", f"/v2/repository/models/{quote(self.model, safe='')}/load", timeout_s, body=b"{}")

    def model_is_ready(self, timeout_s: float) -> None:
        """Raises RefusedByServer while it is not."""
        self._exchange("GET", f"{self._model_path}/ready", timeout_s)

    def config(self) -> Mapping[str, Any]:
        """The model's configuration as the server has it in force."""
        return self._document("GET", f"{self._model_path}/config", ANSWER_TIMEOUT_S)

    def statistics(self) -> Mapping[str, Any]:
        """The statistics extension's document of the model."""
        return self._document("GET", f"{self._model_path}/stats", ANSWER_TIMEOUT_S)

    def stop_tracing(self) -> None:
        """Ends the trace: only then does the server write what it has gathered."""
        self._exchange("POST", "/v2/trace/setting", ANSWER_TIMEOUT_S, body=b'{"trace_level":["OFF"]}')

    def _document(self, method: str, path: str, timeout_s: float) -> Mapping[str, Any]:
        body = self._exchange(method, path, timeout_s)
        try:
            document = json.loads(body)
        except ValueError as error:
            raise Unreachable(f"{method} {path}: the answer is no JSON") from error
        if not isinstance(document, dict):
            raise Unreachable(f"{method} {path}: the answer is no object")
        return document
