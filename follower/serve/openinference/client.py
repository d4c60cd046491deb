"""A small client of the Open Inference Protocol v2 over HTTP: to see a service come up, not to put load on it."""

import json
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from follower.serve.model_client import METADATA_TIMEOUT_S, ModelClient, Unreachable
from follower.serve.openinference.tensors import ModelMetadata, TensorInfo


class OpenInferenceClient(ModelClient):
    """One model of one server."""

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


def _tensors(entries: Sequence[Any]) -> tuple[TensorInfo, ...]:
    return tuple(
        TensorInfo(name=entry["name"], datatype=entry["datatype"], shape=tuple(entry["shape"])) for entry in entries
    )
