"""Our framing against the vendor's own clients, on the real Triton: same requests, same answers, in both protocols."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from support import served_models
from support.asking import ask
from support.codec_client import codec_client
from support.engines import require_engine
from support.grpcio_client import grpcio_client
from support.serving import MODEL, ready, serve_request

from follower.load.dialects import DIALECTS, target_of
from follower.load.encode import InputTensor
from follower.load.infer_message import PREFIX_BYTES, decode_infer_message
from follower.serve.protocol import Service
from follower.serve.triton.platform import TritonPlatform
from shared.jobs.spec import ServiceSpec

Protocol = Literal["http", "grpc"]


@pytest.fixture(params=["http", "grpc"])
def protocol(request: pytest.FixtureRequest) -> Protocol:
    """Both."""
    found: Protocol = request.param
    return found


@pytest.fixture
def service(protocol: Protocol, tmp_path: Path) -> Iterator[Service]:
    """Gives y = 2x + 1 and z = the row sums of x."""
    with triton(tmp_path, protocol) as running:
        yield running


@pytest.fixture
def grpc_service(tmp_path: Path) -> Iterator[Service]:
    """The same, over gRPC."""
    with triton(tmp_path, "grpc") as running:
        yield running


@contextmanager
def triton(folder: Path, protocol: Protocol) -> Iterator[Service]:
    """The real server."""
    require_engine("triton")
    model = served_models.affine(folder / "model.onnx")
    spec = ServiceSpec(platform="triton", protocol=protocol)
    with ready(TritonPlatform(), serve_request(model, folder / "run", spec)) as running:
        yield running


def theirs(service: Service, protocol: Protocol, x: np.ndarray[Any, Any]) -> dict[str, Any]:
    """What tritonclient gets."""
    library: Any = import_module(f"tritonclient.{protocol}")
    tensor = library.InferInput("x", list(x.shape), "FP32")
    tensor.set_data_from_numpy(x)
    endpoint = service.endpoint
    client = library.InferenceServerClient(f"{endpoint.host}:{endpoint.port}")
    try:
        answer = client.infer(MODEL, [tensor])
        return {name: answer.as_numpy(name) for name in ("y", "z")}
    finally:
        client.close()


@pytest.mark.parametrize("samples", [1, 3, 20_000])
def test_the_vendor_s_client_gets_the_same_answers(service: Service, protocol: Protocol, samples: int) -> None:
    """Small ones, and ones of several frames."""
    x = np.random.default_rng(samples).random((samples, 4), dtype=np.float32)
    ours, other = ask(service.endpoint, x=x), theirs(service, protocol, x)
    for name in ("y", "z"):
        np.testing.assert_array_equal(ours[name], other[name])
    np.testing.assert_array_equal(ours["y"], 2 * x + 1)


def test_our_message_is_understood_when_grpcio_frames_it(grpc_service: Service) -> None:
    """And its answer by our decoder: message and framing are right each for itself."""
    x = np.ones((2, 4), np.float32)
    target = target_of(grpc_service.endpoint)
    tensor = InputTensor(name="x", datatype="FP32", array=x)
    message = DIALECTS[target.dialect].encode(target, [tensor])[PREFIX_BYTES:]
    with grpcio_client(target) as client:
        answer = client.ask(message)
    assert answer.code == 0, answer.details
    np.testing.assert_array_equal(decode_infer_message(answer.message)["y"], 2 * x + 1)


def test_a_refusal_has_the_same_code_and_words_as_grpcio_reports(grpc_service: Service) -> None:
    """A shape that the model does not take."""
    target = target_of(grpc_service.endpoint)
    tensor = InputTensor(name="x", datatype="FP32", array=np.ones((1, 5), np.float32))
    request = DIALECTS[target.dialect].encode(target, [tensor])
    with grpcio_client(target) as client:
        expected = client.ask(request[PREFIX_BYTES:])
    assert expected.code == 3  # INVALID_ARGUMENT
    with codec_client(target) as ours:
        answer = ours.ask(request)
    assert answer.status == 599
    assert expected.details[:60] in answer.explanation
