"""The real Triton: our generator beside its vendor's client, what batching brings there, what its trace costs."""

import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from support import served_models
from support.serving import ready, serve_request

from benchmarks.cores import on_client
from benchmarks.figure import Figure
from benchmarks.loading import load
from benchmarks.rounds import difference, interleaved, ratio, told
from follower.engines.folder import installed_version
from follower.load.dialects import target_of
from follower.load.encode import InputTensor
from follower.load.protocol import Target
from follower.serve.protocol import Service
from follower.serve.triton.platform import TritonPlatform
from model_repo.canonical.families import generate
from shared.jobs.spec import BatchingSpec, FullyConnectedModel, ServiceSpec

ROUNDS: Final = 5
SECONDS: Final = 2
WIDTH: Final = 16
ONE: Final = {"pattern": "closed", "concurrency": 1, "duration": f"{SECONDS}s"}
TENSOR: Final = InputTensor(name="x", datatype="FP32", array=np.zeros((1, WIDTH), np.float32))

CONCURRENCY: Final = 16
SIXTEEN: Final = {"pattern": "closed", "concurrency": CONCURRENCY, "duration": "3s"}
LAYERS: Final = 4
LAYER_WIDTH: Final = 1024
"""Weights of 16 MiB: read from memory once for each execution, whatever the number of samples."""

_MISSING: Final = "inferbench platforms install triton"


def triton_latency() -> Iterable[Figure]:
    """p50 of an identity model on the real Triton, one at a time, over that of tritonclient's aio in the same rounds.

    Each client is a process on the same core, the server has the other. Bias: the server's own part is in both, which
    draws the ratio towards 1; tritonclient's latency ends with the answer as an array, ours with its last byte.
    """
    for protocol in ("http", "grpc"):
        name = f"Triton, identity, 1 at a time, {protocol}: p50 / tritonclient aio's"
        if installed_version("triton") is None:
            yield Figure(name=name, measured=None, unit="", high=0.65, detail=_MISSING)
            continue
        with identity_service(protocol) as service:
            target = unnumbered(service)
            contenders = {
                "ours": lambda target=target: load(target, ONE, tensor=TENSOR).service_p50_us(),
                "tritonclient": lambda target=target: _aio_p50_us(target),
            }
            values = interleaved(contenders, ROUNDS)
        measured = ratio(values, "ours", "tritonclient")
        yield Figure(name=name, measured=measured, unit="", high=0.65, detail=told(values, "us"))


def triton_tracing() -> Iterable[Figure]:
    """What tracing every request, with a number in each, adds to the p50 of the same model over HTTP.

    Two servers side by side, one of which traces; only one is asked at a time. Bias: an idle server costs little, but
    not nothing.
    """
    name = "Triton, identity, 1 at a time, http: p50 with the trace - without"
    if installed_version("triton") is None:
        yield Figure(name=name, measured=None, unit="us", high=60, detail=_MISSING)
        return
    with identity_service("http", request_stages=True) as traced, identity_service("http") as plain:
        contenders = {
            "traced": lambda: load(target_of(traced.endpoint), ONE, tensor=TENSOR).service_p50_us(),
            "plain": lambda: load(target_of(plain.endpoint), ONE, tensor=TENSOR).service_p50_us(),
        }
        values = interleaved(contenders, ROUNDS)
    yield Figure(
        name=name, measured=difference(values, "traced", "plain"), unit="us", high=60, detail=told(values, "us")
    )


def triton_batching() -> Iterable[Figure]:
    """Executed batch size and throughput of a dense network at concurrency 16, with dynamic batching and without.

    Both servers have one core and one instance; only one is asked at a time. Batching pays here because the weights
    are read once for each execution.
    """
    names = (
        "Triton, 16 at a time: executed batch size, mean",
        "Triton, 16 at a time: requests/s with batching / without",
    )
    if installed_version("triton") is None:
        for name, low in zip(names, (1.5, 1.2), strict=True):
            yield Figure(name=name, measured=None, unit="", low=low, detail=_MISSING)
        return
    batching = BatchingSpec(max_batch_size=CONCURRENCY, max_delay_ms=2)
    with dense_service(batching) as batched, dense_service(BatchingSpec()) as plain:
        before = batched.statistics()
        contenders = {"with": lambda: _rps(batched), "without": lambda: _rps(plain)}
        values = interleaved(contenders, 3)
        after = batched.statistics()
    if before is None or after is None:
        raise RuntimeError("the server does not count")
    executed = (after.inferences - before.inferences) / (after.executions - before.executions)
    sizes = {size: count - before.batches.get(size, 0) for size, count in sorted(after.batches.items())}
    yield Figure(name=names[0], measured=executed, unit="", low=1.5, detail=f"executions by size: {sizes}")
    yield Figure(
        name=names[1], measured=ratio(values, "with", "without"), unit="", low=1.2, detail=told(values, "requests/s")
    )


@contextmanager
def identity_service(protocol: str, *, request_stages: bool = False) -> Iterator[Service]:
    """A model that copies its input, on the last core."""
    with tempfile.TemporaryDirectory() as name:
        model = served_models.identity(Path(name) / "model.onnx", ("batch", WIDTH))
        with _triton(model, Path(name), {"protocol": protocol}, request_stages=request_stages) as service:
            yield service


@contextmanager
def dense_service(batching: BatchingSpec) -> Iterator[Service]:
    """A dense network whose weights do not fit into the cache, on the last core."""
    with tempfile.TemporaryDirectory() as name:
        model = Path(name) / "model.onnx"
        spec = FullyConnectedModel(family="fc", layers=LAYERS, width=LAYER_WIDTH)
        model.write_bytes(generate(spec).onnx_bytes)
        with _triton(model, Path(name), {"batching": batching}, request_stages=False) as service:
            yield service


@contextmanager
def _triton(model: Path, folder: Path, service: Mapping[str, Any], *, request_stages: bool) -> Iterator[Service]:
    spec = ServiceSpec.model_validate({"platform": "triton", **service})
    request = serve_request(model, folder / "run", spec, request_stages=request_stages)
    with ready(TritonPlatform(), request) as running:
        yield running


def unnumbered(service: Service) -> Target:
    """The service's target, for requests without a number: so are tritonclient's."""
    return replace(target_of(service.endpoint), numbered=False)


def _aio_p50_us(target: Target) -> float:
    address = f"{target.host}:{target.port}"
    arguments = [target.protocol, address, target.model_name, "x", "y", str(WIDTH), str(SECONDS)]
    command = [sys.executable, "-m", "benchmarks.triton_aio_client", *arguments]
    return float(subprocess.run(on_client(command), capture_output=True, check=True).stdout)


def _rps(service: Service) -> float:
    tensor = InputTensor(name="input", datatype="FP32", array=np.ones((1, LAYER_WIDTH), np.float32))
    return load(target_of(service.endpoint), SIXTEEN, tensor=tensor).completed_rps()
