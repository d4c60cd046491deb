"""TensorFlow Serving's REST interface on plain ASGI: predict, status, metadata, and the monitoring page."""

import asyncio
import json
import re
import time
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from typing import Any, Final

from follower.serve.openinference.tensors import TensorInfo
from follower.serve.tensorflow.command_line import MONITORING_PATH
from follower.serve.tensorflow.datatypes import NAME_OF, SIGNATURE
from follower.serve.tensorflow.server import json_tensors
from follower.serve.tensorflow.server.refusal import STATUS_OF, Refused
from follower.serve.tensorflow.server.serving import Serving

MAX_BODY_BYTES: Final = 1 << 30

_MODEL: Final = re.compile(r"/v1/models/([^/:]+)(?:/versions/([0-9]+))?(|/metadata|:predict)")

Header = tuple[bytes, bytes]
Answer = tuple[bytes, list[Header]]


class RestApp:
    """The application; ``pool`` executes predictions, each of which blocks one thread."""

    def __init__(self, serving: Serving, pool: ThreadPoolExecutor) -> None:
        self._serving = serving
        self._pool = pool

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        status = HTTPStatus.OK
        try:
            body, headers = await self._answer(scope["method"], scope["path"], receive)
        except Refused as refused:
            status = STATUS_OF[refused.code]
            body, headers = json.dumps({"error": refused.message}).encode(), [_JSON]
        headers.append((b"content-length", b"%d" % len(body)))
        await send({"type": "http.response.start", "status": int(status), "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _answer(self, method: str, path: str, receive: Any) -> Answer:
        if (method, path) == ("GET", MONITORING_PATH):
            return self._serving.counters.page().encode(), [(b"content-type", b"text/plain")]
        found = _MODEL.fullmatch(path)
        if found is None or (method == "POST") != (found[3] == ":predict"):
            raise Refused("NOT_FOUND", f"nothing is at {method} {path}")
        name, version = found[1], int(found[2]) if found[2] else None
        if found[3] == ":predict":
            body = await _read(receive)
            return await asyncio.get_running_loop().run_in_executor(self._pool, self._predict, name, version, body)
        document = self._metadata(name, version) if found[3] else self._status(name, version)
        return json.dumps(document).encode(), [_JSON]

    def _predict(self, name: str, version: int | None, body: bytes) -> Answer:
        received_ns = time.monotonic_ns()
        predicted = self._serving.predict(name, version, lambda model: json_tensors.read(body, model.metadata))
        answer = json_tensors.write(predicted.outputs)
        return answer, [
            _JSON,
            (b"inferbench-queue-ns", b"%d" % predicted.queue_ns),
            (b"inferbench-inference-ns", b"%d" % predicted.inference_ns),
            (b"inferbench-total-ns", b"%d" % (time.monotonic_ns() - received_ns)),
            (b"inferbench-batch-size", b"%d" % predicted.batch_size),
        ]

    def _status(self, name: str, version: int | None) -> dict[str, Any]:
        self._serving.knows(name, version)
        state = "AVAILABLE" if self._serving.loaded else "LOADING"
        status = {"error_code": "OK", "error_message": ""}
        return {"model_version_status": [{"version": str(self._serving.version), "state": state, "status": status}]}

    def _metadata(self, name: str, version: int | None) -> dict[str, Any]:
        model = self._serving.model(name, version).metadata
        signature = {
            "inputs": {tensor.name: _described(tensor) for tensor in model.inputs},
            "outputs": {tensor.name: _described(tensor) for tensor in model.outputs},
            "method_name": "tensorflow/serving/predict",
        }
        return {
            "model_spec": {"name": name, "signature_name": "", "version": str(self._serving.version)},
            "metadata": {"signature_def": {"signature_def": {SIGNATURE: signature}}},
        }


_JSON: Final[Header] = (b"content-type", b"application/json")


def _described(tensor: TensorInfo) -> dict[str, Any]:
    dims = [{"size": str(size), "name": ""} for size in tensor.shape]
    shape = {"dim": dims, "unknown_rank": False}
    return {"dtype": NAME_OF[tensor.datatype], "tensor_shape": shape, "name": tensor.name}


async def _read(receive: Any) -> bytes:
    chunks: list[bytes] = []
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Refused("INVALID_ARGUMENT", "the client went away")
        chunks.append(message.get("body", b""))
        size += len(chunks[-1])
        if size > MAX_BODY_BYTES:
            raise Refused("INVALID_ARGUMENT", f"the body has more than {MAX_BODY_BYTES} bytes")
        more = message.get("more_body", False)
    return b"".join(chunks)
