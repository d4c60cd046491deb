"""A small client of TensorFlow Serving's REST interface: to see a service come up, not to put load on it.

Source: TensorFlow Serving's "RESTful API": model status, model metadata.
"""

import http.client
import json
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import quote

from follower.serve.openinference.client import (
    METADATA_TIMEOUT_S,
    RefusedByServer,
    Unreachable,
    headers_of,
    opened,
)
from follower.serve.openinference.tensors import ModelMetadata, TensorInfo
from follower.serve.secure import SecretHeader, Tls
from follower.serve.tensorflow.command_line import MONITORING_PATH
from follower.serve.tensorflow.datatypes import DATATYPE_NAMED, SIGNATURE

_SHOWN_BYTES: Final = 200


@dataclass(frozen=True, kw_only=True)
class RestClient:
    """One model of one server. Every call uses a connection of its own."""

    host: str
    port: int
    model: str
    authority: str = ""  # host and port as requests name them; "": host and port above
    tls: Tls | None = None  # None: in the clear
    secret: SecretHeader | None = None  # to be sent with every request

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
        return self._get(MONITORING_PATH, timeout_s).decode(errors="replace")

    def _document(self, path: str, timeout_s: float) -> dict[str, Any]:
        content = self._get(f"/v1/models/{quote(self.model, safe='')}{path}", timeout_s)
        try:
            document = json.loads(content)
        except ValueError as error:
            raise Unreachable(f"not JSON: {content[:_SHOWN_BYTES]!r}") from error
        if not isinstance(document, dict):
            raise Unreachable(f"no JSON object: {content[:_SHOWN_BYTES]!r}")
        return document

    def _get(self, path: str, timeout_s: float) -> bytes:
        try:
            with opened(self, timeout_s) as connection:
                connection.request("GET", path, headers=headers_of(self))
                response = connection.getresponse()
                content = response.read()
        except (OSError, http.client.HTTPException) as error:
            raise Unreachable(f"GET {path}: {error or type(error).__name__}") from error
        if response.status != HTTPStatus.OK:
            raise RefusedByServer(response.status, content[:_SHOWN_BYTES].decode(errors="replace"))
        return content


def _tensors(entries: Mapping[str, Any]) -> tuple[TensorInfo, ...]:
    return tuple(
        TensorInfo(name=name, datatype=DATATYPE_NAMED[entry["dtype"]], shape=_shape(entry["tensor_shape"]))
        for name, entry in sorted(entries.items())
    )


def _shape(shape: Mapping[str, Any]) -> tuple[int, ...]:
    if shape.get("unknown_rank"):
        raise ValueError("a tensor of unknown rank: its shape must be in the signature")
    return tuple(int(dim["size"]) for dim in shape.get("dim", ()))
