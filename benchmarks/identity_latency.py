"""One request at a time on a model that copies its input: our generator beside tritonclient's aio, on two servers."""

import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
from support import served_models
from support.serving import ready, serve_request

from benchmarks.cores import on_client
from benchmarks.figure import Figure
from benchmarks.loading import load
from benchmarks.rounds import interleaved, ratio, told
from follower.engines.folder import installed_version
from follower.load.dialects import target_of
from follower.load.encode import InputTensor
from follower.load.protocol import Target
from follower.serve.platforms import PLATFORMS
from follower.serve.protocol import Service
from shared.jobs.spec import ServiceSpec

ROUNDS: Final = 5
SECONDS: Final = 2
WIDTH: Final = 16
ONE: Final = {"pattern": "closed", "concurrency": 1, "duration": f"{SECONDS}s"}
TENSOR: Final = InputTensor(name="x", datatype="FP32", array=np.zeros((1, WIDTH), np.float32))
MISSING: Final = "inferbench platforms install triton"


def triton_latency() -> Iterable[Figure]:
    """p50 of an identity model on the real Triton, one at a time, over that of tritonclient's aio in the same rounds.

    Each client is a process on the same core, the server has the other. Bias: the server's own part is in both, which
    draws the ratio towards 1; tritonclient's latency ends with the answer as an array, ours with its last byte.
    """
    for protocol in ("http", "grpc"):
        name = f"Triton, identity, 1 at a time, {protocol}: p50 / tritonclient aio's"
        if installed_version("triton") is None:
            yield Figure(name=name, measured=None, unit="", high=0.65, detail=MISSING)
        else:
            yield _beside_tritonclient(name, "triton", protocol, high=0.65)


def onnxruntime_latency() -> Iterable[Figure]:
    """The same on our ONNX Runtime service over HTTP, which is all that it speaks; with the same biases."""
    name = "ONNX Runtime, identity, 1 at a time, http: p50 / tritonclient aio's"
    yield _beside_tritonclient(name, "onnxruntime", "http", high=0.7)


def _beside_tritonclient(name: str, platform: str, protocol: str, *, high: float) -> Figure:
    with identity_service(platform, protocol) as service:
        target = unnumbered(service)
        contenders = {
            "ours": lambda: load(target, ONE, tensor=TENSOR).service_p50_us(),
            "tritonclient": lambda: _aio_p50_us(target),
        }
        values = interleaved(contenders, ROUNDS)
    measured = ratio(values, "ours", "tritonclient")
    return Figure(name=name, measured=measured, unit="", high=high, detail=told(values, "us"))


@contextmanager
def identity_service(platform: str, protocol: str, *, request_stages: bool = False) -> Iterator[Service]:
    """A model that copies its input, on the last core."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = served_models.identity(folder / "model.onnx", ("batch", WIDTH))
        spec = ServiceSpec.model_validate({"platform": platform, "protocol": protocol})
        request = serve_request(model, folder / "run", spec, request_stages=request_stages)
        with ready(PLATFORMS[platform], request) as service:
            yield service


def unnumbered(service: Service) -> Target:
    """The service's target, for requests without a number: so are tritonclient's."""
    return replace(target_of(service.endpoint), numbered=False)


def _aio_p50_us(target: Target) -> float:
    address = f"{target.host}:{target.port}"
    arguments = [target.protocol, address, target.model_name, "x", "y", str(WIDTH), str(SECONDS)]
    command = [sys.executable, "-m", "benchmarks.triton_aio_client", *arguments]
    return float(subprocess.run(on_client(command), capture_output=True, check=True).stdout)
