"""The pipelined model: what it answers is what was meant, and what it is told that it cannot use."""

import asyncio
from http import HTTPStatus
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from follower.load.encode import InputTensor, tensor_bytes
from follower.pipeline.protocol import Answer
from follower.serve.modelserver.pipelined import PipelineOrder, answers_of, pipelined, tensors_of
from follower.serve.modelserver.server.elements import bytes_from_array, from_bytes
from follower.serve.modelserver.server.options import ServerOptions, parse
from follower.serve.modelserver.server.pipeline import PipelineWorkers, load_pipeline
from follower.serve.modelserver.server.refusal import LoadFailed, Refused
from follower.serve.openinference.tensors import TensorInfo
from shared.jobs.pipeline import PipelineSpec
from shared.jobs.spec import RunSpec

TOP = (
    Answer("cat", 0.75, (("cat", 0.75), ("dog", 0.2))),
    Answer("d\N{LATIN SMALL LETTER O WITH DIAERESIS}g", 1 / 3, (("dog", 1 / 3), ("", 0.1))),
)
PIXELS = TensorInfo(name="x", datatype="FP32", shape=(-1, -1))
BERT = [
    TensorInfo(name="input_ids", datatype="INT64", shape=(-1, -1)),
    TensorInfo(name="attention_mask", datatype="INT32", shape=(-1, -1)),
]
TEXT = (Answer("", 0.5), Answer("HELLO", 0.99))


def order(**pipeline: Any) -> PipelineOrder:
    """A pipeline in the server, for two labels."""
    return PipelineOrder(pipeline=PipelineSpec.model_validate({"side": "server", **pipeline}), labels=("no", "yes"))


@pytest.mark.parametrize("answers", [TOP, TEXT], ids=["classes", "text"])
def test_answers_come_back_as_they_were(answers: tuple[Answer, ...]) -> None:
    """To the last bit, also through the wire form of strings."""
    tensors = tensors_of(answers)
    for name, array in tensors.items():
        if array.dtype == object:
            flat = from_bytes(memoryview(bytes_from_array(array)), "BYTES", array.shape, name, text=False)
            tensors[name] = flat
    assert answers_of(tensors) == answers


def test_raw_samples_pass_as_bytes() -> None:
    """A picture is no UTF-8; only where text is promised must it be."""
    raw = np.array([b"\xff\xd8\x00", b""], dtype=object)
    wire = memoryview(tensor_bytes(InputTensor(name="raw", datatype="BYTES", array=raw)))
    assert from_bytes(wire, "BYTES", [2], "raw", text=False).tolist() == raw.tolist()
    with pytest.raises(Refused, match="the string at byte 0 is not UTF-8"):
        from_bytes(wire, "BYTES", [2], "raw")


def test_the_order_reaches_the_server_through_a_file(tmp_path: Path) -> None:
    """And its path through the command line."""
    path = tmp_path / "pipeline.json"
    order(postprocess=[{"op": "softmax"}, {"op": "top_k"}]).leave(path)
    options = ServerOptions(model=path, name="m", status=path, pipeline=path)
    assert parse(options.to_argv()) == options
    workers = load_pipeline(path, [PIXELS], 1)
    done = asyncio.run(workers.conclude(np.array([[0.0, 9.0], [9.0, 0.0]], np.float32), 2))
    workers.close()
    assert [answer.label for answer in done.value if answer] == ["yes", "no"]
    assert done.took_ns > 0
    assert done.waited_ns >= 0


def test_a_sample_that_cannot_be_processed_is_refused_and_the_next_one_served() -> None:
    """With what was wrong, as a request's own fault."""
    workers = PipelineWorkers(order(preprocess=[{"op": "decode_image"}]), [PIXELS], 1)
    with pytest.raises(Refused, match="pipeline: ") as refused:
        asyncio.run(workers.prepare([b"no picture"]))
    assert refused.value.status == HTTPStatus.UNPROCESSABLE_ENTITY
    picture = BytesIO()
    Image.new("RGB", (3, 2)).save(picture, "PNG")
    tensor = asyncio.run(workers.prepare([picture.getvalue()] * 2)).value["x"]
    assert (tensor.datatype, tensor.array.shape) == ("FP32", (2, 2, 3, 3))
    workers.close()


def test_samples_of_different_sizes_make_no_tensor() -> None:
    """Without ops the bytes themselves are the input."""
    workers = PipelineWorkers(order(), [TensorInfo(name="x", datatype="UINT8", shape=(-1, -1))], 1)
    with pytest.raises(Refused, match="do not make the model's tensors"):
        asyncio.run(workers.prepare([b"ab", b"abc"]))
    workers.close()


def test_ops_that_cannot_be_built_fail_the_load() -> None:
    """Text needs the characters of a card."""
    bare = PipelineOrder(pipeline=PipelineSpec.model_validate({"postprocess": [{"op": "ctc_decode"}]}))
    with pytest.raises(LoadFailed, match="the pipeline cannot be built"):
        PipelineWorkers(bare, [PIXELS], 1)


def test_a_text_becomes_all_inputs_that_the_model_has() -> None:
    """Ids and mask by the usual names, each in the model's own datatype, a row for each text."""
    workers = PipelineWorkers(order(preprocess=[{"op": "tokenize", "max_length": 3}]), BERT, 1)
    tensors = asyncio.run(workers.prepare([b"your", b"your your"])).value
    workers.close()
    assert list(tensors) == ["input_ids", "attention_mask"]
    assert tensors["input_ids"].array.dtype == np.int64
    assert tensors["attention_mask"].array.dtype == np.int32
    assert tensors["attention_mask"].array.tolist() == [[1, 0, 0], [1, 1, 0]]


def test_a_pipeline_that_does_not_feed_the_model_fails_the_load() -> None:
    """With the input that gets nothing, before any request."""
    with pytest.raises(LoadFailed, match="the model takes input_ids, attention_mask"):
        PipelineWorkers(order(preprocess=[{"op": "decode_image"}]), BERT, 1)


def test_the_pipelined_model_has_a_name_of_its_own() -> None:
    """Which no registered model can have in the same server."""
    assert pipelined("small") == "small.pipeline"


def test_a_container_may_have_a_pipeline_in_its_server() -> None:
    """Its image holds the processors; see test_containers.py."""
    spec = {
        "model": {"name": "m"},
        "workload": {"pattern": "closed"},
        "requests": {"dataset": "text-lines"},
        "service": {"launch": "docker"},
    }
    assert RunSpec.model_validate({**spec, "pipeline": {"side": "server"}})
    assert RunSpec.model_validate({**spec, "pipeline": {"side": "server", "preprocess": [{"op": "decode_image"}]}})
