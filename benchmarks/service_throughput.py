"""Sixteen at a time against the real ONNX Runtime service: does our generator keep it as busy as wrk does?"""

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import numpy as np
from support.serving import ready, serve_request

from benchmarks import wrk
from benchmarks.figure import Figure
from benchmarks.loading import load
from benchmarks.rounds import interleaved, ratio, told
from follower.load.dialects import DIALECTS
from follower.load.encode import InputTensor
from follower.load.protocol import Target
from follower.serve.modelserver.platform import ModelServerPlatform
from model_repo.canonical.families import generate
from shared.jobs.spec import FullyConnectedModel

CONCURRENCY: Final = 16
ROUNDS: Final = 5
SECONDS: Final = 3
WIDTH: Final = 64
NAME: Final = "closed loop, 16 at a time, HTTP, ONNX Runtime: requests/s / wrk's"


def service_throughput() -> Iterable[Figure]:
    """Right answers per second at concurrency 16 over wrk's, same bytes, in turns; the model is a small dense network.

    The service has the last core, the client the first. Bias: the service is the narrower of the two, so the ratio
    says that we do not hold it back, not how fast we could be.
    """
    if not wrk.is_there():
        yield Figure(name=NAME, measured=None, unit="", low=0.95, detail=wrk.MISSING)
        return
    with small_service() as target, tempfile.TemporaryDirectory() as folder:
        tensor = InputTensor(name="input", datatype="FP32", array=np.ones((1, WIDTH), np.float32))
        request = DIALECTS["openinference-http"].encode(target, [tensor])
        url = f"http://{target.host}:{target.port}{target.path}"
        workload = {"pattern": "closed", "concurrency": CONCURRENCY, "duration": f"{SECONDS}s"}

        def theirs() -> float:
            return wrk.wrk(url, request, connections=CONCURRENCY, duration_s=SECONDS, folder=Path(folder)).rps

        contenders = {"ours": lambda: load(target, workload, tensor=tensor).completed_rps(), "wrk": theirs}
        values = interleaved(contenders, ROUNDS)
    yield Figure(name=NAME, measured=ratio(values, "ours", "wrk"), unit="", low=0.95, detail=told(values, "requests/s"))


@contextmanager
def small_service() -> Iterator[Target]:
    """The ONNX Runtime service with two dense layers of width 64, on the last core."""
    spec = FullyConnectedModel(family="fc", layers=2, width=WIDTH)
    with tempfile.TemporaryDirectory() as name:
        model = Path(name) / "model.onnx"
        model.write_bytes(generate(spec).onnx_bytes)
        with ready(ModelServerPlatform("onnxruntime"), serve_request(model, Path(name) / "run")) as service:
            endpoint = service.endpoint
            path = f"/v2/models/{endpoint.model_name}/infer"
            yield Target(host=endpoint.host, port=endpoint.port, path=path)
