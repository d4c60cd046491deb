"""Conversions that need an engine of their own: SavedModel to ONNX, and ONNX to OpenVINO's own format."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime  # type: ignore[import-untyped]
import pytest
from onnx import helper
from support import saved_models
from support.engines import require_engine
from support.onnx_models import value
from support.serving import infer, ready, serve_request

from follower.convert.engine_process import EngineProgram
from follower.engines.folder import installed_version
from follower.generate.models import MAKERS, UNPACK
from follower.serve.platforms import PLATFORMS
from model_repo import savedmodel_tar
from model_repo.canonical.architecture import input_shape
from model_repo.canonical.families import generate
from model_repo.cards import ModelCard
from model_repo.convert.child import run_conversion
from model_repo.convert.conversions import ConversionName, ConversionRequest
from model_repo.convert.lineage import SourceModel
from model_repo.format_checks import check_model
from model_repo.packaged import load
from shared.errors import InvalidModel, NotAvailable
from shared.jobs.spec import AttentionModel, CanonicalSpec, FullyConnectedModel, LstmModel, ResidualCnnModel

SAVEDMODEL = {"format": "savedmodel"}
NETWORKS: tuple[CanonicalSpec, ...] = (
    FullyConnectedModel(family="fc", layers=2, width=32),
    ResidualCnnModel(family="cnn", layers=1, width=8, image_size=17),
    AttentionModel(family="attention", layers=1, width=32, heads=4, sequence_length=7),
)


def converted(source: Path, card: Mapping[str, Any], to: ConversionName, folder: Path) -> tuple[Path, ModelCard]:
    """The new file and its card, which the check of uploads has filled in."""
    request = ConversionRequest(
        to=to,
        source=SourceModel(name="m", version=3, sha256="ab" * 32),
        card=dict(card),
        source_path=source,
        target_path=folder / "target",
        card_path=folder / "card.json",
    )
    sent = run_conversion(request, folder)
    with request.target_path.open("rb") as file:
        return request.target_path, check_model(file, sent)


def archive_of(name: str, folder: Path) -> Path:
    """One of the small SavedModels, as the repository keeps it."""
    require_engine("tensorflow")
    savedmodel_tar.pack(saved_models.saved_model(name, folder), folder / "source.tar")
    return folder / "source.tar"


# SavedModel to ONNX


def test_a_savedmodel_becomes_onnx_with_the_names_of_its_signature_and_a_free_batch(tmp_path: Path) -> None:
    """Y = 2x + 1, z = the sum of each row; of its card nothing is known before."""
    target, card = converted(archive_of("affine", tmp_path), SAVEDMODEL, "onnx", tmp_path)
    x = np.arange(12, dtype=np.float32).reshape(3, 4)
    y, z = onnxruntime.InferenceSession(target).run(["y", "z"], {"x": x})
    np.testing.assert_array_equal(y, 2 * x + 1)
    np.testing.assert_array_equal(z, x.sum(1))
    assert (card.format, card.opset) == ("onnx", 17)
    assert [(each.name, each.shape) for each in card.inputs] == [("x", (-1, 4))]
    lineage = card.lineage
    assert lineage is not None
    assert lineage.tool == f"tensorflow {installed_version('tensorflow')}"
    assert lineage.parameters == {"exporter": "tf2onnx 1.17.0"}
    assert (lineage.check.inputs, lineage.check.samples) == ("synthetic", 16)
    assert lineage.check.max_abs_error < 1e-6


@pytest.mark.parametrize("spec", NETWORKS, ids=lambda spec: spec.family)
def test_a_canonical_savedmodel_and_the_emitters_onnx_meet_again(spec: CanonicalSpec, tmp_path: Path) -> None:
    """One specification, two ways to ONNX: through TensorFlow and tf2onnx, and straight."""
    require_engine("tensorflow")
    made = MAKERS["savedmodel"](spec, tmp_path)
    savedmodel_tar.pack(made.path, tmp_path / "source.tar")
    target, _ = converted(tmp_path / "source.tar", made.card.model_dump(mode="json"), "onnx", tmp_path)
    x = np.random.default_rng(3).random((3, *input_shape(spec)), np.float32)
    found, right = (
        onnxruntime.InferenceSession(model).run(["scores"], {"input": x})[0]
        for model in (target, generate(spec).onnx_bytes)
    )
    np.testing.assert_allclose(found, right, rtol=0, atol=1e-4)


def test_an_operator_without_a_form_in_onnx_is_named(tmp_path: Path) -> None:
    """TensorFlow's fused LSTM, in which the canonical one is written."""
    require_engine("tensorflow")
    made = MAKERS["savedmodel"](LstmModel(family="lstm", layers=1, width=8, sequence_length=3), tmp_path)
    savedmodel_tar.pack(made.path, tmp_path / "source.tar")
    with pytest.raises(InvalidModel, match="operators that tf2onnx cannot write as ONNX: BlockLSTM"):
        converted(tmp_path / "source.tar", made.card.model_dump(mode="json"), "onnx", tmp_path)


def test_a_savedmodel_without_the_served_signature_is_refused_with_those_that_it_has(tmp_path: Path) -> None:
    """TensorFlow Serving would not serve it either."""
    with pytest.raises(InvalidModel, match="no signature 'serving_default'; its signatures: score"):
        converted(archive_of("elsewhere", tmp_path), SAVEDMODEL, "onnx", tmp_path)


def test_a_corrupt_savedmodel_is_refused_in_tensorflows_words(tmp_path: Path) -> None:
    """The archive is whole, the graph in it is not."""
    require_engine("tensorflow")
    folder = saved_models.affine(tmp_path)
    (folder / "saved_model.pb").write_bytes(b"\x08\x08garbage")
    savedmodel_tar.pack(folder, tmp_path / "source.tar")
    with pytest.raises(InvalidModel, match=r"TensorFlow cannot export this model: .*Error"):
        converted(tmp_path / "source.tar", SAVEDMODEL, "onnx", tmp_path)


# ONNX to OpenVINO


@pytest.mark.parametrize(("to", "share", "error"), [("openvino", 1.0, 1e-5), ("openvino-fp16", 0.5, 0.01)])
def test_openvinos_own_format_is_served_and_answers_as_its_source(
    to: ConversionName, share: float, error: float, tmp_path: Path
) -> None:
    """Kept in 16 bits the weights are half as large; the engine may compute in bf16, the check is made in f32."""
    require_engine("openvino")
    source = generate(FullyConnectedModel(family="fc", layers=3, width=64))
    (tmp_path / "source.onnx").write_bytes(source.onnx_bytes)
    card = source.card.model_dump(mode="json")
    target, new = converted(tmp_path / "source.onnx", card, to, tmp_path)
    assert (new.format, new.inputs, new.outputs) == ("openvino", source.card.inputs, source.card.outputs)
    assert new.weight_bytes == pytest.approx(share * (source.card.weight_bytes or 0), rel=0.01)
    assert new.lineage is not None
    assert new.lineage.tool == f"openvino {installed_version('openvino')}"
    assert new.lineage.parameters == {"weights": "fp16" if share < 1 else "as-stored", "checked_in": "f32"}
    assert new.lineage.check.max_rel_error < error
    x = np.random.default_rng(4).random((5, 64), np.float32)
    (right,) = onnxruntime.InferenceSession(source.onnx_bytes).run(["scores"], {"input": x})
    model = UNPACK["openvino"](target, tmp_path)
    with ready(PLATFORMS["openvino"], serve_request(model, tmp_path / "run")) as service:
        facts, found = service.facts(), infer(service.endpoint, input=x).tensors["scores"]
    allowed = max(error, 0.02 if facts["precision"] == "bf16" else 0)
    assert float(np.abs(found - right).max() / np.abs(right).max()) < allowed


def test_a_packaged_model_keeps_its_accuracy_in_openvinos_format(tmp_path: Path) -> None:
    """Compared on the labelled pictures that its card says how to prepare."""
    require_engine("openvino")
    source, card = load("ppocr-cls")
    _, new = converted(source, card.model_dump(mode="json"), "openvino-fp16", tmp_path)
    assert new.lineage is not None
    check = new.lineage.check
    assert (check.inputs, check.samples, check.accuracy_before) == ("text-directions", 24, 1)
    assert check.accuracy_after is not None
    assert check.accuracy_after > 0.9
    assert new.inputs[0].name == card.inputs[0].name


def test_what_openvino_cannot_read_is_refused_in_its_words(tmp_path: Path) -> None:
    """ONNX Runtime has determinants."""
    require_engine("openvino")
    determinant = helper.make_node("Det", ["x"], ["y"])
    graph = helper.make_graph([determinant], "det", [value("x", [1, 3, 3])], [value("y", [1])])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, tmp_path / "source.onnx")
    with (tmp_path / "source.onnx").open("rb") as file:
        card = check_model(file, {}).model_dump(mode="json")
    with pytest.raises(InvalidModel, match=r"OpenVINO cannot convert this model: .*Det"):
        converted(tmp_path / "source.onnx", card, "openvino", tmp_path)


@pytest.mark.parametrize("engine", ["torch", "tensorflow", "openvino"])
def test_without_the_engine_a_conversion_says_what_to_install(engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is opened."""
    monkeypatch.setattr("follower.convert.engine_process.installed_version", lambda _engine: None)
    program = EngineProgram(engine=engine, engine_name=engine, module="none", task="convert", environment={})
    with pytest.raises(NotAvailable, match=f"platforms install {engine}"):
        program.require()
