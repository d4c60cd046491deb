"""The server's application, called in this process: before the model is loaded, and once it is."""

import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from support import served_models

from follower.serve.modelserver.server.app import create_app
from follower.serve.modelserver.server.batcher import Batcher
from follower.serve.modelserver.server.batching import BatchPolicy
from follower.serve.modelserver.server.infer import MAX_BODY_BYTES
from follower.serve.modelserver.server.options import ServerOptions
from follower.serve.modelserver.server.runtimes.table import load
from follower.serve.modelserver.server.serving import Serving, ServingModel

REQUEST = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 4], "data": [1, 2, 3, 4]}]}
INFER = "/v2/models/m/infer"


@pytest.fixture
def exhausted() -> list[str]:
    """Reasons for which the application gave up on memory."""
    return []


@pytest.fixture
def serving(exhausted: list[str]) -> Serving:
    """A server without its model."""
    return Serving("m", exhausted.append)


@pytest.fixture
async def client(serving: Serving) -> AsyncIterator[httpx.AsyncClient]:
    """Talks to the application without a socket."""
    transport = httpx.ASGITransport(create_app(serving), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://server") as client:
        yield client


@pytest.fixture
def loaded(serving: Serving, tmp_path: Path) -> Iterator[None]:
    """With the model y = 2x + 1, z = sum of x."""
    path = served_models.affine(tmp_path / "m.onnx")
    model = load(ServerOptions(model=path, name="m", status=tmp_path / "status"), cores=1)
    batcher = Batcher(model.runs, BatchPolicy(), on_out_of_memory=serving.on_out_of_memory)
    serving.loaded = ServingModel(metadata=model.metadata, batched=model.batched, batcher=batcher)
    yield
    batcher.close()


@pytest.mark.parametrize("path", ["/v2/health/ready", "/v2/models/m", "/v2/models/m/ready", "/v2/models/m/versions/1"])
async def test_until_the_model_is_loaded_the_server_is_live_but_not_ready(client: httpx.AsyncClient, path: str) -> None:
    """Status 503 with a reason, and never a wrong answer."""
    assert (await client.get("/v2/health/live")).status_code == 200
    answer = await client.get(path)
    assert answer.status_code == 503
    assert "still being loaded" in answer.json()["error"]


async def test_until_the_model_is_loaded_inference_is_refused(client: httpx.AsyncClient) -> None:
    """As not ready, so that a client may come again."""
    answer = await client.post(INFER, json=REQUEST)
    assert answer.status_code == 503
    assert "still being loaded" in answer.json()["error"]


@pytest.mark.usefixtures("loaded")
@pytest.mark.parametrize("path", ["/v2/health/ready", "/v2/models/m/ready", "/v2/models/m/versions/1/ready"])
async def test_once_loaded_the_server_is_ready(client: httpx.AsyncClient, path: str) -> None:
    """An empty 200, for the server, the model and its version."""
    answer = await client.get(path)
    assert (answer.status_code, answer.content) == (200, b"")


async def test_the_server_names_itself_and_its_extensions(client: httpx.AsyncClient) -> None:
    """Also before a model is there."""
    document = (await client.get("/v2")).json()
    assert document["name"] == "inferbench-onnxruntime"
    assert document["extensions"] == ["binary_tensor_data"]
    assert document["version"]


@pytest.mark.usefixtures("loaded")
@pytest.mark.parametrize("path", ["/v2/models/m", "/v2/models/m/versions/1"])
async def test_the_model_describes_itself(client: httpx.AsyncClient, path: str) -> None:
    """The protocol's metadata object."""
    assert (await client.get(path)).json() == {
        "name": "m",
        "versions": ["1"],
        "platform": "onnxruntime_onnx",
        "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 4]}],
        "outputs": [
            {"name": "y", "datatype": "FP32", "shape": [-1, 4]},
            {"name": "z", "datatype": "FP32", "shape": [-1]},
        ],
    }


@pytest.mark.usefixtures("loaded")
@pytest.mark.parametrize("path", [INFER, "/v2/models/m/versions/1/infer"])
async def test_an_inference_is_answered_with_its_stages(client: httpx.AsyncClient, path: str) -> None:
    """All outputs, and headers that add up: queue and inference lie within the total."""
    answer = await client.post(path, json=REQUEST)
    assert answer.status_code == 200
    assert [output["data"] for output in answer.json()["outputs"]] == [[3, 5, 7, 9], [10]]
    names = ("queue-ns", "inference-ns", "total-ns", "batch-size")
    queue, inference, total, batch = (int(answer.headers[f"inferbench-{name}"]) for name in names)
    assert min(queue, inference) > 0
    assert queue + inference < total
    assert batch == 1


@pytest.mark.usefixtures("loaded")
async def test_only_the_outputs_asked_for_are_sent_in_the_order_asked_for(client: httpx.AsyncClient) -> None:
    """The rest is left out."""
    wanted = [{"name": "z"}, {"name": "y"}]
    answer = await client.post(INFER, json={**REQUEST, "outputs": wanted})
    assert [output["name"] for output in answer.json()["outputs"]] == ["z", "y"]
    answer = await client.post(INFER, json={**REQUEST, "outputs": wanted[:1]})
    assert [output["name"] for output in answer.json()["outputs"]] == ["z"]


@pytest.mark.usefixtures("loaded")
async def test_binary_outputs_follow_the_json(client: httpx.AsyncClient) -> None:
    """The answer says where its JSON ends."""
    answer = await client.post(INFER, json={**REQUEST, "parameters": {"binary_data_output": True}})
    length = int(answer.headers["inference-header-content-length"])
    assert answer.headers["content-type"] == "application/octet-stream"
    assert np.frombuffer(answer.content[length:], np.float32).tolist() == [3, 5, 7, 9, 10]


async def _in_pieces(body: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(body), 7):
        yield body[start : start + 7]


@pytest.mark.usefixtures("loaded")
async def test_a_body_may_come_in_pieces(client: httpx.AsyncClient) -> None:
    """Large ones always do."""
    answer = await client.post(INFER, content=_in_pieces(json.dumps(REQUEST).encode()))
    assert answer.json()["outputs"][1]["data"] == [10]


@pytest.mark.usefixtures("loaded")
@pytest.mark.parametrize(
    ("method", "path", "status", "words"),
    [
        ("POST", "/v2/models/other/infer", 404, "unknown model 'other'; this server has 'm'"),
        ("POST", "/v2/models/m/versions/2/infer", 404, "no version '2'"),
        ("GET", "/v2/models/other", 404, "unknown model 'other'"),
        ("GET", "/v2/models/other/ready", 404, "unknown model 'other'"),
        ("GET", "/v2/models/m/versions/9/ready", 404, "no version '9'"),
        ("GET", "/nowhere", 404, "Not Found"),
        ("GET", INFER, 405, "Method Not Allowed"),
        ("DELETE", "/v2/models/m", 405, "Method Not Allowed"),
    ],
)
async def test_what_is_not_there_is_refused_in_the_protocols_form(
    client: httpx.AsyncClient, method: str, path: str, status: int, words: str
) -> None:
    """An object with one key, error."""
    answer = await client.request(method, path, json=REQUEST)
    assert answer.status_code == status
    assert answer.json().keys() == {"error"}
    assert words in answer.json()["error"]


@pytest.mark.usefixtures("loaded")
@pytest.mark.parametrize(
    ("headers", "status", "words"),
    [
        ({"content-length": str(MAX_BODY_BYTES + 1)}, 413, "at most"),
        ({"content-encoding": "gzip"}, 415, "content-encoding gzip is not supported"),
        ({"inference-header-content-length": "-1"}, 400, "must be a number"),
        ({"inference-header-content-length": "ten"}, 400, "must be a number"),
    ],
)
async def test_headers_that_cannot_be_right_are_refused(
    client: httpx.AsyncClient, headers: dict[str, str], status: int, words: str
) -> None:
    """Before the body is looked at."""
    answer = await client.post(INFER, content=b"{}", headers=headers)
    assert answer.status_code == status
    assert words in answer.json()["error"]


@pytest.mark.usefixtures("loaded")
@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"inputs": [{**REQUEST["inputs"][0], "name": "w"}]}, "takes inputs ['x']"),
        ({"inputs": [{**REQUEST["inputs"][0], "shape": [4, 1]}]}, "has shape [-1, 4]"),
        ({"inputs": [{**REQUEST["inputs"][0], "datatype": "FP64"}]}, "has datatype FP32"),
        ({"outputs": [{"name": "w"}]}, "has outputs ['y', 'z']"),
    ],
)
async def test_tensors_that_do_not_fit_the_model_are_refused(
    client: httpx.AsyncClient, change: dict[str, Any], words: str
) -> None:
    """Status 400 and the reason."""
    answer = await client.post(INFER, json={**REQUEST, **change})
    assert answer.status_code == 400
    assert words in answer.json()["error"]


@pytest.mark.usefixtures("loaded")
async def test_a_request_that_cannot_be_held_ends_the_server(
    client: httpx.AsyncClient, exhausted: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client gets 503, and the server is told why it must go."""

    def decode(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr("follower.serve.modelserver.server.infer.decode", decode)
    answer = await client.post(INFER, json=REQUEST)
    assert (answer.status_code, answer.json()) == (503, {"error": "out of memory"})
    assert exhausted == ["a request or its answer does not fit into memory"]


@pytest.mark.usefixtures("loaded")
async def test_a_defect_of_the_server_is_answered_without_a_traceback(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kind of failure is named, its inside is not."""
    monkeypatch.delattr("follower.serve.modelserver.server.infer.check_inputs")
    answer = await client.post(INFER, json=REQUEST)
    assert answer.status_code == 500
    assert answer.json() == {"error": "the server failed: NameError; see its log"}
