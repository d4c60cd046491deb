"""Loading and running models with ONNX Runtime."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from support import served_models
from support.onnx_models import value

from follower.serve.modelserver.server.options import ServerOptions
from follower.serve.modelserver.server.refusal import LoadFailed, Refused
from follower.serve.modelserver.server.runtimes.onnxruntime import may_spin, session_options
from follower.serve.modelserver.server.runtimes.protocol import LoadedModel
from follower.serve.modelserver.server.runtimes.table import load
from follower.serve.openinference.tensors import ModelMetadata, TensorInfo


def options(model: Path, **more: Any) -> ServerOptions:
    """Serves ``model`` as "m"."""
    return ServerOptions(model=model, name="m", status=model.with_suffix(".status"), **more)


def loaded(model: Path, **more: int) -> LoadedModel:
    """A model in memory."""
    return load(options(model, **more), cores=1)


def test_a_model_describes_itself_in_the_protocols_words(tmp_path: Path) -> None:
    """Datatypes by their protocol names, free dimensions as -1."""
    assert loaded(served_models.affine(tmp_path / "m")).metadata == ModelMetadata(
        name="m",
        inputs=(TensorInfo(name="x", datatype="FP32", shape=(-1, 4)),),
        outputs=(
            TensorInfo(name="y", datatype="FP32", shape=(-1, 4)),
            TensorInfo(name="z", datatype="FP32", shape=(-1,)),
        ),
    )


@pytest.mark.parametrize(
    ("element", "datatype", "number"),
    [
        (TensorProto.BOOL, "BOOL", np.array([[True]])),
        (TensorProto.UINT8, "UINT8", np.array([[250]], np.uint8)),
        (TensorProto.INT32, "INT32", np.array([[-7]], np.int32)),
        (TensorProto.INT64, "INT64", np.array([[2**40]], np.int64)),
        (TensorProto.FLOAT16, "FP16", np.array([[0.5]], np.float16)),
        (TensorProto.DOUBLE, "FP64", np.array([[0.1]], np.float64)),
        (TensorProto.STRING, "BYTES", np.array([["text"]], object)),
    ],
)
def test_every_datatype_passes_through(tmp_path: Path, element: int, datatype: str, number: np.ndarray) -> None:
    """What goes into an identity comes out of it."""
    model = loaded(served_models.identity(tmp_path / "m", ("batch", 1), element))
    assert model.metadata.inputs[0].datatype == datatype
    (output,) = model.runs[0]({"x": number})
    assert output.tolist() == number.tolist()


def test_read_only_memory_of_a_request_can_be_run(tmp_path: Path) -> None:
    """Tensors lie in the request's own bytes."""
    x = np.frombuffer(np.arange(4, dtype=np.float32).tobytes(), np.float32).reshape(1, 4)
    y, z = loaded(served_models.affine(tmp_path / "m")).runs[0]({"x": x})
    assert y.tolist() == [[1, 3, 5, 7]]
    assert z.tolist() == [6]


def test_every_instance_is_a_session_of_its_own(tmp_path: Path) -> None:
    """Three instances, three runners."""
    assert len(loaded(served_models.identity(tmp_path / "m"), instances=3).runs) == 3


@pytest.mark.parametrize("content", [b"", b"garbage", b"\x08\x08" * 500])
def test_a_file_that_is_no_model_is_refused_in_one_line(tmp_path: Path, content: bytes) -> None:
    """Whatever the parser says."""
    (tmp_path / "m").write_bytes(content)
    with pytest.raises(LoadFailed) as caught:
        loaded(tmp_path / "m")
    assert str(caught.value).startswith("ONNX Runtime refuses the model: ")
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    """The message names it."""
    with pytest.raises(LoadFailed, match="absent"):
        loaded(tmp_path / "absent.onnx")


def test_an_unknown_operator_is_refused_by_name(tmp_path: Path) -> None:
    """A custom op needs a library that is not there."""
    node = helper.make_node("Magic", ["x"], ["y"], domain="example.org")
    graph = helper.make_graph([node], "g", [value("x", [1])], [value("y", [1])])
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("example.org", 1)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), tmp_path / "m")
    with pytest.raises(LoadFailed, match="Magic"):
        loaded(tmp_path / "m")


def test_an_output_that_is_no_tensor_is_refused(tmp_path: Path) -> None:
    """The protocol carries tensors only."""
    node = helper.make_node("SequenceConstruct", ["x"], ["y"])
    output = helper.make_tensor_sequence_value_info("y", TensorProto.FLOAT, None)
    served_models.save(tmp_path / "m", [node], [value("x", [1])], [output])
    with pytest.raises(LoadFailed, match=r"'y' is of type seq\(tensor\(float\)\)"):
        loaded(tmp_path / "m")


def test_batching_a_model_with_a_fixed_batch_is_refused_with_the_way_out(tmp_path: Path) -> None:
    """It would be measured without the batching that was asked for."""
    path = served_models.identity(tmp_path / "m", (1, 4))
    with pytest.raises(LoadFailed, match="export it with a free batch dimension"):
        loaded(path, max_batch_size=4)
    assert not loaded(path).batched


def test_a_failing_inference_is_refused_with_the_models_words(tmp_path: Path) -> None:
    """Status 500: the request was well-formed."""
    run = loaded(served_models.table_lookup(tmp_path / "m")).runs[0]
    with pytest.raises(Refused, match=r"out of .*bounds") as caught:
        run({"i": np.array([99])})
    assert caught.value.status == 500


@pytest.mark.parametrize(
    ("threads", "instances", "cores", "spin"),
    [(1, 1, 1, False), (1, 1, 8, False), (4, 1, 4, False), (4, 1, 5, True), (2, 2, 4, False), (2, 2, 5, True)],
)
def test_threads_spin_only_where_every_thread_has_a_core(threads: int, instances: int, cores: int, spin: bool) -> None:
    """Including the one that answers HTTP; a single compute thread has nothing to wait for."""
    assert may_spin(threads, instances, cores) is spin


def test_session_options_are_those_asked_for(tmp_path: Path) -> None:
    """Threads inside an operator, none across operators."""
    settings = session_options(options(tmp_path / "m", threads=3), cores=8)
    assert settings.intra_op_num_threads == 3
    assert settings.inter_op_num_threads == 1
    assert settings.get_session_config_entry("session.intra_op.allow_spinning") == "1"
