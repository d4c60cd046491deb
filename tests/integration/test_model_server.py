"""The ONNX Runtime service with standard clients and under load."""

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import tritonclient.http as triton  # type: ignore[import-untyped]
from support import served_models
from support.serving import (
    MODEL,
    Answer,
    batching,
    infer,
    ready,
    send,
    serve_request,
)
from tritonclient.utils import InferenceServerException  # type: ignore[import-untyped]

from follower.serve.modelserver.platform import ModelServerPlatform
from follower.serve.protocol import Service
from shared.jobs.spec import ServiceSpec

PLATFORM = ModelServerPlatform("onnxruntime")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the module's service lives."""
    return tmp_path_factory.mktemp("service")


@pytest.fixture(scope="module")
def service(folder: Path) -> Iterator[Service]:
    """One service of y = 2x + 1, z = sum of x, for all tests that do it no harm."""
    with ready(PLATFORM, serve_request(served_models.affine(folder / "m.onnx"), folder / "run")) as service:
        yield service


@pytest.fixture
def client(service: Service) -> Iterator[Any]:
    """The standard client of the protocol."""
    with triton.InferenceServerClient(f"{service.endpoint.host}:{service.endpoint.port}") as client:
        yield client


# A standard client


def test_tritonclient_sees_server_and_model_live_and_ready(client: Any) -> None:
    """Health of the server, the model and its version."""
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready(MODEL)
    assert client.is_model_ready(MODEL, "1")
    assert not client.is_model_ready("other")


def test_tritonclient_reads_metadata(client: Any) -> None:
    """Of the server and the model."""
    assert client.get_server_metadata()["extensions"] == ["binary_tensor_data"]
    metadata = client.get_model_metadata(MODEL)
    assert metadata["inputs"] == [{"name": "x", "datatype": "FP32", "shape": [-1, 4]}]
    assert metadata["versions"] == ["1"]


@pytest.mark.parametrize("binary_in", [False, True])
@pytest.mark.parametrize("binary_out", [False, True])
def test_tritonclient_infers_with_json_and_binary_tensors(client: Any, binary_in: bool, binary_out: bool) -> None:
    """In every combination, with the request's id in the answer."""
    x = np.arange(8, dtype=np.float32).reshape(2, 4)
    tensor = triton.InferInput("x", x.shape, "FP32")
    tensor.set_data_from_numpy(x, binary_data=binary_in)
    outputs = [triton.InferRequestedOutput(name, binary_data=binary_out) for name in ("z", "y")]
    answer = client.infer(MODEL, [tensor], outputs=outputs, request_id="id-3")
    np.testing.assert_array_equal(answer.as_numpy("y"), 2 * x + 1)
    np.testing.assert_array_equal(answer.as_numpy("z"), [6, 22])
    assert answer.get_response()["id"] == "id-3"


def test_tritonclient_infers_without_naming_outputs(client: Any) -> None:
    """All of them come, as binary, which is that client's default."""
    x = np.ones((1, 4), np.float32)
    tensor = triton.InferInput("x", x.shape, "FP32")
    tensor.set_data_from_numpy(x)
    answer = client.infer(MODEL, [tensor])
    assert answer.as_numpy("y").tolist() == [[3, 3, 3, 3]]
    assert answer.as_numpy("z").tolist() == [4]


def test_tritonclient_shows_the_servers_error(client: Any) -> None:
    """Its words reach the user."""
    x = np.ones((1, 5), np.float32)
    tensor = triton.InferInput("x", x.shape, "FP32")
    tensor.set_data_from_numpy(x)
    with pytest.raises(InferenceServerException, match="has shape") as caught:
        client.infer(MODEL, [tensor])
    assert caught.value.status() == "400"


def test_tritonclient_infers_strings(tmp_path: Path) -> None:
    """The datatype BYTES, both ways."""
    model = served_models.identity(tmp_path / "m.onnx", ("batch", 2), 8)
    with (
        ready(PLATFORM, serve_request(model, tmp_path / "run")) as service,
        triton.InferenceServerClient(f"{service.endpoint.host}:{service.endpoint.port}") as client,
    ):
        texts = np.array([["a", "größer"]], dtype=object)
        for binary in (False, True):
            tensor = triton.InferInput("x", texts.shape, "BYTES")
            tensor.set_data_from_numpy(texts, binary_data=binary)
            answer = client.infer(MODEL, [tensor], outputs=[triton.InferRequestedOutput("y", binary_data=binary)])
            found = [text.decode() if isinstance(text, bytes) else text for text in answer.as_numpy("y").ravel()]
            assert found == ["a", "größer"]


# What the follower relies on


def test_stage_headers_lie_within_what_the_client_sees(service: Service) -> None:
    """Queue and inference are parts of the total, and the total is a part of the round trip."""
    began = time.perf_counter_ns()
    answer = infer(service.endpoint, x=np.zeros((3, 4), np.float32))
    round_trip = time.perf_counter_ns() - began
    names = ("queue-ns", "inference-ns", "total-ns")
    queue, inference, total = (int(answer.headers[f"inferbench-{name}"]) for name in names)
    assert min(queue, inference) > 0
    assert queue + inference < total < round_trip
    assert answer.headers["inferbench-batch-size"] == "3"


def test_the_server_is_pinned_to_the_cores_of_its_slot(service: Service) -> None:
    """It cannot disturb the client's."""
    (pid,) = service.pids()
    assert len(psutil.Process(pid).cpu_affinity()) == 1


def test_no_traffic_is_logged(service: Service) -> None:
    """A line per request would be measured."""
    infer(service.endpoint, x=np.zeros((1, 4), np.float32))
    assert service.log_path.read_text() == ""


def test_a_hundred_requests_travel_over_one_connection(client: Any) -> None:
    """Keep-alive holds, so that a load generator measures inference and not hand-shakes."""
    x = np.ones((1, 4), np.float32)
    tensor = triton.InferInput("x", x.shape, "FP32")
    tensor.set_data_from_numpy(x)
    for _ in range(100):
        assert client.infer(MODEL, [tensor]).as_numpy("z").tolist() == [4]


def test_hostile_bytes_do_not_harm_the_server(service: Service) -> None:
    """Whatever is sent, the next request is answered."""
    path = f"/v2/models/{MODEL}/infer"
    bodies = [b"", b"\0" * 100, b"{" * 100_000, b'{"inputs":[' + b"[" * 50_000, os.urandom(1000)]
    assert [send(service.endpoint, "POST", path, body).status for body in bodies] == [400] * len(bodies)
    assert infer(service.endpoint, x=np.zeros((1, 4), np.float32)).status == 200


# Dynamic batching


def concurrent_answers(service: Service, inputs: list[dict[str, np.ndarray]]) -> list[Answer]:
    """Sends requests at one time."""
    answers: dict[int, Answer] = {}
    start = threading.Barrier(len(inputs))

    def client(place: int) -> None:
        start.wait()
        answers[place] = infer(service.endpoint, **inputs[place])

    clients = [threading.Thread(target=client, args=(place,)) for place in range(len(inputs))]
    for thread in clients:
        thread.start()
    for thread in clients:
        thread.join()
    return [answers[place] for place in range(len(inputs))]


def test_concurrent_requests_are_batched_and_answered_as_if_they_were_not(tmp_path: Path) -> None:
    """Batches hold several samples, and every client gets its own rows."""
    model = served_models.affine(tmp_path / "m.onnx")
    with ready(PLATFORM, serve_request(model, tmp_path / "run", batching(4, 200))) as service:
        xs = [np.full((1, 4), number, np.float32) for number in range(8)]
        answers = concurrent_answers(service, [{"x": x} for x in xs])
    for x, answer in zip(xs, answers, strict=True):
        np.testing.assert_array_equal(answer.tensors["y"], 2 * x + 1)
        np.testing.assert_array_equal(answer.tensors["z"], x.sum(axis=1))
    sizes = [int(answer.headers["inferbench-batch-size"]) for answer in answers]
    assert max(sizes) > 1
    assert max(sizes) <= 4


def test_a_lonely_request_waits_for_its_delay_and_says_so(tmp_path: Path) -> None:
    """The wait is queue time."""
    model = served_models.affine(tmp_path / "m.onnx")
    with ready(PLATFORM, serve_request(model, tmp_path / "run", batching(4, 100))) as service:
        answer = infer(service.endpoint, x=np.zeros((1, 4), np.float32))
    assert int(answer.headers["inferbench-queue-ns"]) >= 100_000_000
    assert answer.headers["inferbench-batch-size"] == "1"


def test_a_request_above_the_batch_limit_is_executed_in_one_piece(tmp_path: Path) -> None:
    """It is the client's choice."""
    model = served_models.affine(tmp_path / "m.onnx")
    with ready(PLATFORM, serve_request(model, tmp_path / "run", batching(4, 0))) as service:
        answer = infer(service.endpoint, x=np.ones((9, 4), np.float32))
    assert answer.headers["inferbench-batch-size"] == "9"
    assert answer.tensors["z"].tolist() == [4] * 9


def test_a_request_that_breaks_its_batch_fails_alone(tmp_path: Path) -> None:
    """Its neighbours get their answers."""
    model = served_models.table_lookup(tmp_path / "m.onnx")
    with ready(PLATFORM, serve_request(model, tmp_path / "run", batching(4, 300))) as service:
        good, bad = np.array([2]), np.array([99])
        answers = concurrent_answers(service, [{"i": number} for number in (good, bad, good)])
    assert [answer.status for answer in answers] == [200, 500, 200]
    assert "the model failed" in answers[1].error
    assert [answers[place].tensors["y"].tolist() for place in (0, 2)] == [[20], [20]]


def test_a_batch_that_cannot_be_split_is_executed_one_by_one(tmp_path: Path) -> None:
    """A model that answers one sample with two rows still answers each request for itself."""
    model = served_models.reshaped_to(tmp_path / "m.onnx", 7)
    request = serve_request(model, tmp_path / "run", batching(2, 300), example_shapes={"x": (1, 7)})
    with ready(PLATFORM, request) as service:
        inputs = [{"x": np.full((1, 14), number, np.float32)} for number in (1, 2)]
        answers = concurrent_answers(service, inputs)
    assert [answer.tensors["y"].tolist() for answer in answers] == [[[number] * 7] * 2 for number in (1, 2)]
    assert [answer.headers["inferbench-batch-size"] for answer in answers] == ["1", "1"]


def test_several_inputs_are_batched_together(tmp_path: Path) -> None:
    """Each along its own first dimension."""
    model = served_models.two_inputs(tmp_path / "m.onnx")
    with ready(PLATFORM, serve_request(model, tmp_path / "run", batching(3, 300))) as service:
        inputs = [
            {"a": np.full((1, 2), number, np.float32), "b": np.full((1, 2), 10 * number, np.float32)}
            for number in range(3)
        ]
        answers = concurrent_answers(service, inputs)
    assert [answer.tensors["y"].tolist() for answer in answers] == [[[11.0 * n] * 2] for n in range(3)]
    assert max(int(answer.headers["inferbench-batch-size"]) for answer in answers) > 1


def test_instances_and_threads_are_served(tmp_path: Path) -> None:
    """Two sessions with two threads each give the same answers."""
    model = served_models.affine(tmp_path / "m.onnx")
    spec = ServiceSpec(instances=2, threads=2)
    with ready(PLATFORM, serve_request(model, tmp_path / "run", spec)) as service:
        xs = [np.full((2, 4), number, np.float32) for number in range(6)]
        for x, answer in zip(xs, concurrent_answers(service, [{"x": x} for x in xs]), strict=True):
            np.testing.assert_array_equal(answer.tensors["y"], 2 * x + 1)
