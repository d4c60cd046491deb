"""The real Triton: what batching brings there, and what its trace costs."""

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import numpy as np
from support.serving import ready, serve_request

from benchmarks.figure import Figure
from benchmarks.identity_latency import MISSING, ONE, ROUNDS, TENSOR, identity_service
from benchmarks.loading import load
from benchmarks.rounds import difference, interleaved, ratio, told
from follower.engines.folder import installed_version
from follower.load.dialects import target_of
from follower.load.encode import InputTensor
from follower.serve.protocol import Service
from follower.serve.triton.platform import TritonPlatform
from model_repo.canonical.families import generate
from shared.jobs.spec import BatchingSpec, FullyConnectedModel, ServiceSpec

CONCURRENCY: Final = 16
SIXTEEN: Final = {"pattern": "closed", "concurrency": CONCURRENCY, "duration": "3s"}
LAYERS: Final = 4
LAYER_WIDTH: Final = 1024
"""Weights of 16 MiB: read from memory once for each execution, whatever the number of samples."""


def triton_tracing() -> Iterable[Figure]:
    """What tracing every request, with a number in each, adds to the p50 of the same model over HTTP.

    Two servers side by side, one of which traces; only one is asked at a time. Bias: an idle server costs little, but
    not nothing.
    """
    name = "Triton, identity, 1 at a time, http: p50 with the trace - without"
    if installed_version("triton") is None:
        yield Figure(name=name, measured=None, unit="us", high=60, detail=MISSING)
        return
    with identity_service("triton", "http", request_stages=True) as traced, identity_service("triton", "http") as plain:
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
            yield Figure(name=name, measured=None, unit="", low=low, detail=MISSING)
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
def dense_service(batching: BatchingSpec) -> Iterator[Service]:
    """A dense network whose weights do not fit into the cache, on the last core."""
    with tempfile.TemporaryDirectory() as name:
        model = Path(name) / "model.onnx"
        spec = FullyConnectedModel(family="fc", layers=LAYERS, width=LAYER_WIDTH)
        model.write_bytes(generate(spec).onnx_bytes)
        service_spec = ServiceSpec(platform="triton", batching=batching)
        request = serve_request(model, Path(name) / "run", service_spec, request_stages=False)
        with ready(TritonPlatform(), request) as service:
            yield service


def _rps(service: Service) -> float:
    tensor = InputTensor(name="input", datatype="FP32", array=np.ones((1, LAYER_WIDTH), np.float32))
    return load(target_of(service.endpoint), SIXTEEN, tensor=tensor).completed_rps()
