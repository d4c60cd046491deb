"""Models and datasets over the API: bytes in, bytes out, and nothing half-good in between."""

import hashlib
import io
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import onnx
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]
import pytest
from onnx import TensorProto, helper
from support.api_client import TINY_JOB, Api, running_api

from leader.auth.roles import Role
from model_repo.packaged import load

TEXT_JOB = """\
apiVersion: inferbench/v1
kind: Job
name: texts
team: vision
model: {{name: m}}
pipeline: {{preprocess: [{{op: tokenize, outputs: {outputs}}}]}}
requests: {{dataset: short-messages}}
workload: {{pattern: closed, concurrency: 1, warmup: 0s, duration: 1s}}
"""


@pytest.fixture
async def api(mongo_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    """A leader that takes uploads of up to a megabyte."""
    async with running_api(mongo_url, tmp_path, max_model_bytes=1_000_000) as running:
        await running.register_follower()
        yield running


def relu_model(*, external_path: str | None = None) -> bytes:
    """A tiny model; with ``external_path`` its one weight claims to lie in that file."""
    weight = helper.make_tensor("w", TensorProto.FLOAT, [1], [1.0])
    if external_path is not None:
        weight.ClearField("float_data")
        weight.data_location = TensorProto.EXTERNAL
        weight.external_data.add(key="location", value=external_path)
    graph = helper.make_graph(
        [helper.make_node("Mul", ["x", "w"], ["m"]), helper.make_node("Relu", ["m"], ["y"])],
        "tiny",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 1])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 1])],
        [weight],
    )
    model = helper.make_model(graph, opset_imports=[onnx.OperatorSetIdProto(version=17)])
    return bytes(model.SerializeToString())


def announced(name: str, content: bytes, **changes: Any) -> dict[str, Any]:
    """The body of a registration."""
    return {"name": name, "sha256": hashlib.sha256(content).hexdigest(), "size_bytes": len(content), **changes}


async def upload(api: Api, content: bytes, **changes: Any) -> tuple[int, dict[str, Any]]:
    """Register "m" and send ``content``; the answer to the latter."""
    async with api.client(Role.SUBMITTER) as client:
        registered = await client.post("/api/v1/models", json=announced("m", content, **changes))
        assert registered.status_code == 201, registered.text
        answer = await client.put("/api/v1/models/m/versions/1/content", content=content)
    return answer.status_code, answer.json()


async def state_of(api: Api) -> str:
    """The state of version 1 of "m"."""
    async with api.client(Role.VIEWER) as client:
        return str((await client.get("/api/v1/models/m/versions/1")).json()["state"])


async def test_a_model_goes_in_and_comes_out_byte_by_byte(api: Api) -> None:
    """Registered, uploaded, ready, downloaded with its digest, searched, pinned by a job."""
    content = relu_model()
    status, view = await upload(api, content)
    assert (status, view["state"], view["sha256"]) == (200, "ready", hashlib.sha256(content).hexdigest())
    async with api.client(Role.VIEWER) as client:
        answer = await client.get("/api/v1/models/m/versions/1/content")
        assert answer.content == content
        assert answer.headers["content-length"] == str(len(content))
        assert answer.headers["content-disposition"].startswith("attachment")
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert [item["name"] for item in (await client.get("/api/v1/models?text=M")).json()["items"]] == ["m"]
    job = TINY_JOB.replace("{generate: {family: fc, layers: 1, width: 8}}", "{name: m}")
    assert (await api.submit(job)).status_code == 201


@pytest.mark.parametrize(
    "content", [b"PK\x03\x04 not a model", b"\x80\x04pickle", b"{}", b"\xff" * 100], ids=["zip", "pickle", "json", "ff"]
)
async def test_what_is_not_onnx_is_refused_for_good(api: Api, content: bytes) -> None:
    """422 with a reason; the version is never ready and no job can use it."""
    status, problem = await upload(api, content)
    assert (status, problem["code"]) == (422, "invalid-model")
    assert await state_of(api) == "refused"
    job = TINY_JOB.replace("{generate: {family: fc, layers: 1, width: 8}}", "{name: m, version: 1}")
    assert (await api.submit(job)).status_code in {404, 409}


@pytest.mark.parametrize("path", ["../../etc/passwd", "/etc/passwd", "weights.bin"])
async def test_external_data_is_refused(api: Api, path: str) -> None:
    """A model is one file; whatever it points at is not part of the upload."""
    status, problem = await upload(api, relu_model(external_path=path))
    assert (status, problem["code"]) == (422, "invalid-model")
    assert problem["problems"][0]["message"].startswith("tensor 'w' keeps its data in another file")
    assert problem["problems"][0]["found"] == path
    assert await state_of(api) == "refused"


async def test_a_truncated_upload_stays_pending_and_may_be_sent_again(api: Api) -> None:
    """Fewer bytes than announced are not a model; the full ones then are."""
    content = relu_model()
    async with api.client(Role.SUBMITTER) as client:
        await client.post("/api/v1/models", json=announced("m", content))
        short = await client.put("/api/v1/models/m/versions/1/content", content=content[:-10])
        assert (short.status_code, short.json()["code"]) == (422, "invalid-model")
        assert await state_of(api) == "pending"
        assert (await client.get("/api/v1/models/m/versions/1/content")).status_code == 409
        assert (await client.put("/api/v1/models/m/versions/1/content", content=content)).json()["state"] == "ready"


async def test_a_digest_that_does_not_match_is_refused(api: Api) -> None:
    """The bytes are not what was announced."""
    status, problem = await upload(api, relu_model(), sha256="0" * 64)
    assert (status, problem["code"]) == (422, "invalid-model")
    assert await state_of(api) == "pending"


async def test_more_bytes_than_allowed_are_refused_before_they_are_read(api: Api) -> None:
    """By the announced size, and by what arrives."""
    async with api.client(Role.SUBMITTER) as client:
        announcement = await client.post("/api/v1/models", json=announced("m", b"x", size_bytes=1_000_001))
        assert (announcement.status_code, announcement.json()["code"]) == (413, "too-large")
        await client.post("/api/v1/models", json=announced("m", b"x" * 10))

        async def endless() -> AsyncIterator[bytes]:
            while True:
                yield b"x" * 65536

        streamed = await client.put("/api/v1/models/m/versions/1/content", content=endless())
        assert (streamed.status_code, streamed.json()["code"]) == (413, "too-large")
    assert await state_of(api) == "pending"


@pytest.mark.parametrize("name", ["../x", "A", "a/b", "", "a" * 65, "$ne", "a\nb"])
async def test_names_are_names(api: Api, name: str) -> None:
    """Nothing that could be a path, an operator or a header."""
    async with api.client(Role.SUBMITTER) as client:
        answer = await client.post("/api/v1/models", json=announced(name, b"x"))
    assert (answer.status_code, answer.json()["problems"][0]["path"]) == (422, "name")


async def test_a_card_is_replaced_and_a_version_deleted_by_an_admin_only(api: Api) -> None:
    """A submitter updates the card, an admin deletes, and the number is not used again."""
    content = relu_model()
    await upload(api, content)
    path = "/api/v1/models/m/versions/1"
    async with api.client(Role.SUBMITTER) as client:
        assert (await client.patch(path, json={"card": {"task": "demo"}})).json()["card"]["task"] == "demo"
        assert (await client.patch(path, json={"state": "ready"})).status_code == 422
        assert (await client.delete(path)).status_code == 403
    async with api.client(Role.ADMIN) as client:
        assert (await client.delete(path)).status_code == 204
        assert (await client.get(path)).status_code == 404
        assert (await client.post("/api/v1/models", json=announced("m", content))).json()["version"] == 2


async def test_a_dataset_goes_in_beside_the_built_in_ones(api: Api) -> None:
    """Built-in ones come first; an uploaded one is a Parquet file with the three columns."""
    sink = io.BytesIO()
    pq.write_table(pa.table({"name": ["a"], "data": [b"1"], "label": ["x"]}), sink)
    content = sink.getvalue()
    async with api.client(Role.SUBMITTER) as client:
        created = await client.post("/api/v1/datasets", json=announced("mine", content, description="one row"))
        assert (created.status_code, created.json()["version"]) == (201, 1)
        answer = await client.put("/api/v1/datasets/mine/versions/1/content", content=content)
        assert answer.status_code == 200, answer.text
        items = (await client.get("/api/v1/datasets")).json()["items"]
        assert [item["name"] for item in items if not item["builtin"]] == ["mine"]
        assert "images-small" in [item["name"] for item in items if item["builtin"]]
        assert (await client.get("/api/v1/datasets/mine/versions/1/content")).content == content


async def test_a_dataset_that_is_not_parquet_is_refused(api: Api) -> None:
    """Nothing is ready that a follower could not read."""
    async with api.client(Role.SUBMITTER) as client:
        await client.post("/api/v1/datasets", json=announced("mine", b"name,data\n"))
        answer = await client.put("/api/v1/datasets/mine/versions/1/content", content=b"name,data\n")
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid-input")
        assert (await client.get("/api/v1/datasets/mine/versions/1/content")).status_code in {404, 409}


async def test_a_pipeline_that_does_not_feed_the_model_is_refused_at_submit(api: Api) -> None:
    """By the model's own inputs: with the key of the job file, what the model takes, and nothing in the queue."""
    path, card = load("messages-masked")
    status, _ = await upload(api, path.read_bytes(), card=card.model_dump(mode="json"))
    assert status == 200
    answer = await api.submit(TEXT_JOB.format(outputs="{ids: input_ids, mask: mask}"))
    assert answer.status_code == 422
    (problem,) = answer.json()["problems"]
    assert problem["path"] == "pipeline.preprocess[0].outputs.mask"
    assert "the model has no input mask" in problem["message"]
    assert problem["allowed"] == "input_ids (INT64), attention_mask (INT64)"
    fed = await api.submit(TEXT_JOB.format(outputs="{ids: input_ids, mask: attention_mask}"))
    assert "outputs" not in fed.text, fed.text  # this follower announces no ops, and that is all that is said
