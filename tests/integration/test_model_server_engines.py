"""The model server around OpenVINO and PyTorch: what they really do, and what each says of a model it cannot serve."""

import os
import signal
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper
from support import served_models, torch_models
from support.engines import require_engine
from support.onnx_models import value
from support.serving import batching, eventually, failed_start, failure_of, infer, ready, serve_request, started

from follower.serve.platforms import PLATFORMS
from follower.serve.protocol import Platform
from model_repo.canonical.families import generate
from shared.jobs.formats import PlatformName
from shared.jobs.lifecycle import Cause
from shared.jobs.spec import FullyConnectedModel, ServiceSpec

X4 = ("x", "FP32", [-1, 4])
Y4 = ("y", "FP32", [-1, 4])


@pytest.fixture
def openvino() -> Platform:
    """OpenVINO, where it is installed."""
    require_engine("openvino")
    return PLATFORMS["openvino"]


@pytest.fixture
def torchscript() -> Platform:
    """TorchScript, where PyTorch is installed."""
    require_engine("torch")
    return PLATFORMS["torchscript"]


def refusal(platform: Platform, model: Path, service: ServiceSpec | None = None) -> str:
    """What is said of a model that does not load."""
    failure = failed_start(platform, serve_request(model, model.parent / "run", service))
    assert failure.cause is Cause.MODEL_LOAD_FAILED
    assert "\n" not in failure.detail
    return failure.detail


# What really runs


@pytest.mark.parametrize(("engine", "platform"), [("openvino", "openvino"), ("torch", "torchscript")])
def test_an_engine_starts_no_process_of_its_own(engine: str, platform: PlatformName, tmp_path: Path) -> None:
    """OpenVINO's telemetry did: where no network answered, it ended it after three seconds, and the server with it."""
    require_engine(engine)
    make = served_models.affine if engine == "openvino" else torch_models.affine
    request = serve_request(make(tmp_path / "model"), tmp_path / "run", ServiceSpec(platform=platform))
    with ready(PLATFORMS[platform], request) as service:
        assert len(service.pids()) == 1


def test_openvino_reports_the_precision_that_explains_its_error(openvino: Platform, tmp_path: Path) -> None:
    """Where it says bf16 the scores are off by bf16's rounding (2^-8 per product), where f32, by next to nothing."""
    spec = FullyConnectedModel(family="fc", layers=2, width=64)
    (tmp_path / "m.onnx").write_bytes(generate(spec).onnx_bytes)
    x = np.random.default_rng(1).random((4, 64), np.float32)
    with ready(PLATFORMS["onnxruntime"], serve_request(tmp_path / "m.onnx", tmp_path / "reference")) as service:
        right = infer(service.endpoint, input=x).tensors["scores"]
    with ready(openvino, serve_request(tmp_path / "m.onnx", tmp_path / "run")) as service:
        facts, found = service.facts(), infer(service.endpoint, input=x).tensors["scores"]
    assert facts["engine"] == "openvino"
    assert facts["version"]
    largest = float(np.abs(found - right).max() / np.abs(right).max())
    assert largest < {"f32": 1e-5, "bf16": 0.02}[facts["precision"]]
    assert (largest > 1e-5) is (facts["precision"] == "bf16")


def test_openvino_reports_the_streams_and_threads_that_it_took(openvino: Platform, tmp_path: Path) -> None:
    """On one core two instances of two threads are one stream of one thread, and the record says so."""
    model = served_models.affine(tmp_path / "m.onnx")
    with ready(openvino, serve_request(model, tmp_path / "run", ServiceSpec(instances=2, threads=2))) as service:
        assert (service.facts()["streams"], service.facts()["threads"]) == (1, 1)
        assert infer(service.endpoint, x=np.ones((1, 4), np.float32)).tensors["z"].tolist() == [4]


def test_torchscript_reports_full_precision_and_its_threads(torchscript: Platform, tmp_path: Path) -> None:
    """PyTorch changes neither without being asked."""
    model = torch_models.affine(tmp_path / "m.pt")
    with ready(torchscript, serve_request(model, tmp_path / "run", ServiceSpec(threads=1, instances=2))) as service:
        facts = service.facts()
        assert infer(service.endpoint, x=np.ones((3, 4), np.float32)).tensors["z"].tolist() == [4, 4, 4]
    assert (facts["engine"], facts["precision"], facts["threads"], facts["streams"]) == ("torchscript", "f32", 2, 2)


@pytest.mark.parametrize("name", ["openvino", "torchscript"])
def test_requests_are_batched_as_with_any_runtime(name: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """And a request above the limit is executed alone."""
    platform: Platform = request.getfixturevalue(name)
    make = served_models.affine if name == "openvino" else torch_models.affine
    with ready(platform, serve_request(make(tmp_path / "m"), tmp_path / "run", batching(4, 1))) as service:
        answer = infer(service.endpoint, x=np.ones((6, 4), np.float32))
        assert answer.headers["inferbench-batch-size"] == "6"
        assert answer.tensors["z"].tolist() == [4] * 6


# What cannot be served


def test_openvino_refuses_what_is_no_model(openvino: Platform, tmp_path: Path) -> None:
    """In one line, long before the deadline."""
    (tmp_path / "m.onnx").write_bytes(b"garbage")
    assert refusal(openvino, tmp_path / "m.onnx").startswith("OpenVINO refuses the model")


def test_openvino_names_the_operator_that_it_has_not(openvino: Platform, tmp_path: Path) -> None:
    """By domain and name."""
    node = helper.make_node("Magic", ["x"], ["y"], domain="example.org")
    graph = helper.make_graph([node], "g", [value("x", [1])], [value("y", [1])])
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("example.org", 1)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), tmp_path / "m.onnx")
    assert "example.org.Magic" in refusal(openvino, tmp_path / "m.onnx")


@pytest.mark.parametrize("content", [b"", b"garbage", b"PK\x03\x04 and no more"])
def test_torchscript_refuses_what_is_no_archive(torchscript: Platform, tmp_path: Path, content: bytes) -> None:
    """Whatever the parser says."""
    (tmp_path / "m.pt").write_bytes(content)
    assert refusal(torchscript, tmp_path / "m.pt").startswith("PyTorch refuses the model")


def test_a_torchscript_archive_that_is_cut_off_is_refused(torchscript: Platform, tmp_path: Path) -> None:
    """As a broken download would be."""
    content = torch_models.affine(tmp_path / "m.pt").read_bytes()
    (tmp_path / "m.pt").write_bytes(content[: len(content) // 2])
    assert refusal(torchscript, tmp_path / "m.pt").startswith("PyTorch refuses the model")


def test_a_torchscript_model_without_a_signature_is_refused_with_what_would_be_right(
    torchscript: Platform, tmp_path: Path
) -> None:
    """Names and datatypes are never assumed."""
    detail = refusal(torchscript, torch_models.script(tmp_path / "m.pt", torch_models.AFFINE, ""))
    assert "no signature" in detail
    assert "_extra_files={'inferbench.json'" in detail


def test_a_signature_with_the_wrong_number_of_inputs_is_refused(torchscript: Platform, tmp_path: Path) -> None:
    """The program's own parameters are named."""
    text = torch_models.signature([X4, ("w", "FP32", [-1, 4])], [Y4])
    detail = refusal(torchscript, torch_models.script(tmp_path / "m.pt", torch_models.AFFINE, text))
    assert detail == "inferbench.json names the inputs ['x', 'w'], but the program's forward takes ['x']"


@pytest.mark.parametrize(
    ("outputs", "words"),
    [
        ([Y4], "it gave 2 values; its signature names ['y']"),
        ([("y", "INT64", [-1, 4]), ("z", "FP32", [-1])], "output 'y' is of float32; its signature says INT64"),
    ],
)
def test_a_signature_with_wrong_outputs_fails_at_the_first_inference(
    torchscript: Platform, tmp_path: Path, outputs: list[torch_models.Tensor], words: str
) -> None:
    """A program does not say what it returns until it runs."""
    text = torch_models.signature([X4], outputs)
    assert words in refusal(torchscript, torch_models.script(tmp_path / "m.pt", torch_models.AFFINE, text))


FIXED_WIDTH = """
class Model(torch.nn.Module):
    def forward(self, x):
        return x.reshape(-1, 7)
"""


def test_a_free_dimension_that_cannot_be_guessed_needs_a_size(torchscript: Platform, tmp_path: Path) -> None:
    """The first inference fails with the program's own words; with a shape it is served."""
    text = torch_models.signature([("x", "FP32", [-1, -1])], [("y", "FP32", [-1, 7])])
    model = torch_models.script(tmp_path / "m.pt", FIXED_WIDTH, text)
    assert "shape '[-1, 7]' is invalid for input of size 32" in refusal(torchscript, model)
    hinted = serve_request(model, tmp_path / "hinted", example_shapes={"x": (1, 7)})
    with ready(torchscript, hinted) as service:
        assert infer(service.endpoint, x=np.ones((1, 14), np.float32)).tensors["y"].shape == (2, 7)


@pytest.mark.parametrize("name", ["openvino", "torchscript"])
def test_more_samples_than_a_fixed_batch_takes_are_refused(
    name: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """In a request with status 400, and as dynamic batching at load."""
    platform: Platform = request.getfixturevalue(name)
    if name == "openvino":
        model = served_models.identity(tmp_path / "m.onnx", (2, 4))
    else:
        source = torch_models.AFFINE.replace("2 * x + 1, x.sum(1)", "x.clone()")
        text = torch_models.signature([("x", "FP32", [2, 4])], [("y", "FP32", [2, 4])])
        model = torch_models.script(tmp_path / "m.pt", source, text)
    assert "export it with a free batch dimension" in refusal(platform, model, batching(8, 2))
    with ready(platform, serve_request(model, tmp_path / "second")) as service:
        answer = infer(service.endpoint, x=np.zeros((3, 4), np.float32))
    assert answer.status == 400
    assert "has shape [2, 4] (-1 is free), but the request sends [3, 4]" in answer.error


@pytest.mark.parametrize("name", ["openvino", "torchscript"])
def test_an_engine_that_dies_while_it_loads_has_died(name: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """Killed between its open port and its model."""
    platform: Platform = request.getfixturevalue(name)
    make = served_models.affine if name == "openvino" else torch_models.affine
    wanted = serve_request(make(tmp_path / "m"), tmp_path / "run")
    with started(platform, wanted) as service:
        status = wanted.workdir / "status.jsonl"
        assert eventually(lambda: status.exists() and "listening" in status.read_text(), 30)
        os.kill(service.pids()[0], signal.SIGKILL)
        failure = failure_of(service)
    assert failure.cause is Cause.SERVER_DIED


TRAP = """
class Model(torch.nn.Module):
    def forward(self, x):
        return torch.ones(1 << 40)
"""


def test_a_program_that_asks_for_too_much_memory_is_out_of_memory(torchscript: Platform, tmp_path: Path) -> None:
    """An allocation that fails is not a failure of the model."""
    text = torch_models.signature([X4], [("y", "FP32", [-1])])
    model = torch_models.script(tmp_path / "m.pt", TRAP, text)
    failure = failed_start(torchscript, serve_request(model, tmp_path / "run", memory_bytes=16 << 30))
    assert failure.cause is Cause.SERVER_OUT_OF_MEMORY
