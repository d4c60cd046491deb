"""A small client of TensorFlow Serving's REST interface: to see a service come up, not to put load on it.

Source: TensorFlow Serving's "RESTful API": model status, model metadata.
"""

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from follower.serve.model_client import METADATA_TIMEOUT_S, SHOWN_BYTES, ModelClient, RefusedByServer, Unreachable
from follower.serve.openinference.tensors import ModelMetadata, TensorInfo
from follower.serve.tensorflow.command_line import MONITORING_PATH
from follower.serve.tensorflow.datatypes import DATATYPE_NAMED, SIGNATURE


class RestClient(ModelClient):
    """One model of one server."""

    def is_available(self, timeout_s: float) -> None:
        """Asks whether a version of the model takes requests.

        Raises:
            Unreachable: no answer within ``timeout_s``.
            RefusedByServer: none does; with what the server says of it.
        """
        document = self._document("", timeout_s)
        versions = document.get("model_version_status", [])
        if not any(version.get("state") == "AVAILABLE" for version in versions):
            raise RefusedByServer(HTTPStatus.SERVICE_UNAVAILABLE, f"no version is available: {versions}")

    def metadata(self, timeout_s: float = METADATA_TIMEOUT_S) -> ModelMetadata:
        """Names, datatypes and shapes of the served signature, ordered by name: the interface gives no order.

        Raises:
            Unreachable: no answer within ``timeout_s``, or none that can be read.
            RefusedByServer: not this model, or it has no such signature.
        """
        document = self._document("/metadata", timeout_s)
        try:
            signatures = document["metadata"]["signature_def"]["signature_def"]
            if SIGNATURE not in signatures:
                message = f"the model has no signature {SIGNATURE!r}, only {sorted(signatures)}"
                raise RefusedByServer(HTTPStatus.NOT_FOUND, message)
            signature = signatures[SIGNATURE]
            inputs, outputs = _tensors(signature.get("inputs", {})), _tensors(signature.get("outputs", {}))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise Unreachable(f"the model's metadata cannot be read: {error!r}") from error
        return ModelMetadata(name=self.model, inputs=inputs, outputs=outputs)

    def counters(self, timeout_s: float = METADATA_TIMEOUT_S) -> str:
        """The Prometheus page. Raises Unreachable or RefusedByServer."""
        return self._exchange("GET", MONITORING_PATH, timeout_s).decode(errors="replace")

    def _document(self, path: str, timeout_s: float) -> dict[str, Any]:
        content = self._exchange("GET", f"/v1/models/{quote(self.model, safe='')}{path}", timeout_s)
        try:
            document = json.loads(content)
        except ValueError as error:
            raise Unreachable(f"not JSON: {content[:SHOWN_BYTES]!r}") from error
        if not isinstance(document, dict):
            raise Unreachable(f"no JSON object: {content[:SHOWN_BYTES]!r}")
        return document


def _tensors(entries: Mapping[str, Any]) -> tuple[TensorInfo, ...]:
    return tuple(
        TensorInfo(name=name, datatype=DATATYPE_NAMED[entry["dtype"]], shape=_shape(entry["tensor_shape"]))
        for name, entry in sorted(entries.items())
    )


def _shape(shape: Mapping[str, Any]) -> tuple[int, ...]:
    if shape.get("unknown_rank"):
        raise ValueError("a tensor of unknown rank: its shape must be in the signature")
    return tuple(int(dim["size"]) for dim in shape.get("dim", ()))
