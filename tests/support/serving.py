"""Starting a service for a test, sending it tensors, and knowing that nothing of it is left."""

import http.client
import json
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import psutil
import pytest

from follower.serve.protocol import Endpoint, Platform, ServeRequest, Service
from shared.errors import AttemptFailed
from shared.jobs.spec import BatchingSpec, ServiceSpec

Array = npt.NDArray[Any]

READY_NS = 60_000_000_000
MODEL = "tiny"
_WAIT_S = 10.0

DATATYPES: dict[np.dtype[Any], str] = {np.dtype(np.float32): "FP32", np.dtype(np.int64): "INT64"}
DTYPES = {datatype: dtype for dtype, datatype in DATATYPES.items()}


def serve_request(model: Path, workdir: Path, service: ServiceSpec | None = None, **more: Any) -> ServeRequest:
    """Serves ``model`` on the machine's last core."""
    cores = [max(psutil.Process().cpu_affinity())]
    return ServeRequest(
        **{
            "model_path": model,
            "model_name": MODEL,
            "service": service or ServiceSpec(),
            "server_cores": cores,
            "workdir": workdir,
            **more,
        }
    )


@contextmanager
def started(platform: Platform, request: ServeRequest) -> Iterator[Service]:
    """A started service, whatever becomes of it."""
    service = platform.start(request)
    try:
        yield service
    finally:
        service.stop()


def failure_of(service: Service, timeout_ns: int = READY_NS) -> AttemptFailed:
    """How the start of this service fails."""
    with pytest.raises(AttemptFailed) as caught:
        service.wait_ready(timeout_ns)
    return caught.value


def failed_start(platform: Platform, request: ServeRequest) -> AttemptFailed:
    """How a start fails to which nothing else is done."""
    with started(platform, request) as service:
        return failure_of(service)


@contextmanager
def ready(platform: Platform, request: ServeRequest) -> Iterator[Service]:
    """A service that has answered its first inference."""
    with started(platform, request) as service:
        service.wait_ready(READY_NS)
        yield service


@dataclass(frozen=True)
class Answer:
    """What came back over HTTP."""

    status: int
    headers: Mapping[str, str]  # lower-case names
    body: bytes

    @property
    def document(self) -> dict[str, Any]:
        length = self.headers.get("inference-header-content-length")
        document: dict[str, Any] = json.loads(self.body[: int(length)] if length else self.body)
        return document

    @property
    def error(self) -> str:
        return str(self.document["error"])

    @property
    def tensors(self) -> dict[str, Array]:
        """The outputs of an answer whose every tensor is binary."""
        offset = int(self.headers["inference-header-content-length"])
        tensors = {}
        for output in self.document["outputs"]:
            size = output["parameters"]["binary_data_size"]
            data = self.body[offset : offset + size]
            tensors[output["name"]] = np.frombuffer(data, DTYPES[output["datatype"]]).reshape(output["shape"])
            offset += size
        return tensors


def send(endpoint: Endpoint, method: str, path: str, body: bytes = b"", **headers: str) -> Answer:
    """One request on a connection of its own."""
    connection = http.client.HTTPConnection(endpoint.host, endpoint.port, timeout=30)
    try:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, body=body, headers=named)
        response = connection.getresponse()
        found = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, found, response.read())
    finally:
        connection.close()


def infer(endpoint: Endpoint, **inputs: Array) -> Answer:
    """Sends tensors as binary data and asks for binary outputs."""
    payloads = [array.tobytes() for array in inputs.values()]
    entries = [
        {
            "name": name,
            "datatype": DATATYPES[array.dtype],
            "shape": array.shape,
            "parameters": {"binary_data_size": array.nbytes},
        }
        for name, array in inputs.items()
    ]
    header = json.dumps({"inputs": entries, "parameters": {"binary_data_output": True}}).encode()
    return send(
        endpoint,
        "POST",
        f"/v2/models/{endpoint.model_name}/infer",
        b"".join([header, *payloads]),
        inference_header_content_length=str(len(header)),
    )


def infer_json(endpoint: Endpoint, document: Mapping[str, Any]) -> Answer:
    """Sends a request as JSON."""
    return send(endpoint, "POST", f"/v2/models/{endpoint.model_name}/infer", json.dumps(document).encode())


def eventually(condition: Callable[[], bool], timeout_s: float = _WAIT_S) -> bool:
    """Whether something comes true before long."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def alive(pids: Sequence[int]) -> list[int]:
    """Those that still run; zombies do not."""
    return [pid for pid in pids if _runs(pid)]


def _runs(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def is_open(endpoint: Endpoint) -> bool:
    """Whether anyone listens there."""
    with socket.socket() as probe:
        probe.settimeout(5)  # the address of a container that is gone may answer nothing at all
        return probe.connect_ex((endpoint.host, endpoint.port)) == 0


def batching(size: int, delay_ms: float) -> ServiceSpec:
    """A service with dynamic batching."""
    return ServiceSpec(batching=BatchingSpec(max_batch_size=size, max_delay_ms=delay_ms))
