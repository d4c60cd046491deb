"""Models are converted by a process of their own, compared with their source, and registered with their lineage."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime  # type: ignore[import-untyped]
import pytest
from support import torch_models
from support.engines import require_engine
from support.scripted_leader import Reply, ScriptedLeader
from support.typed_commands import Inferbench

from model_repo.canonical.families import generate
from model_repo.cards import ModelCard, TensorCard, parse_card
from model_repo.convert.child import run_conversion
from model_repo.convert.conversions import CONVERSIONS, ConversionName, ConversionRequest, find_conversion
from model_repo.convert.lineage import Lineage, SourceModel
from model_repo.format_checks import check_model
from model_repo.packaged import load
from shared.errors import InvalidInput, InvalidModel
from shared.jobs.formats import CONVERTS
from shared.jobs.spec import FullyConnectedModel
from shared.wire.views import ModelView, Page

SOURCE = SourceModel(name="m", version=3, sha256="ab" * 32)


def converted(
    source: Path, card: Mapping[str, Any], to: ConversionName, folder: Path, dataset: str | None = None
) -> tuple[Path, Lineage]:
    """The new file, and what is written down of it; its card passes the check of uploads."""
    request = ConversionRequest(
        to=to,
        source=SOURCE,
        card=dict(card),
        dataset=dataset,
        source_path=source,
        target_path=folder / "target.onnx",
        card_path=folder / "card.json",
    )
    new = run_conversion(request, folder)
    with request.target_path.open("rb") as file:
        lineage = check_model(file, new).lineage
    assert lineage is not None
    assert lineage.source == SOURCE
    assert lineage.conversion == to
    return request.target_path, lineage


@pytest.fixture
def dense(tmp_path: Path) -> tuple[Path, Mapping[str, Any]]:
    """Three dense layers, and their card."""
    model = generate(FullyConnectedModel(family="fc", layers=3, width=128))
    (tmp_path / "dense.onnx").write_bytes(model.onnx_bytes)
    return tmp_path / "dense.onnx", model.card.model_dump(mode="json")


@pytest.mark.parametrize(
    ("to", "share", "error"),
    [("optimized", 1.05, 1e-6), ("fp16", 0.55, 0.01), ("int8", 0.32, 0.1), ("int8-calibrated", 0.32, 0.1)],
)
def test_a_dense_network_shrinks_as_its_weights_do_and_stays_near_its_source(
    dense: tuple[Path, Mapping[str, Any]], tmp_path: Path, to: ConversionName, share: float, error: float
) -> None:
    """Sixteen bits are half, eight a quarter; the error that is written down is the one that this process finds."""
    source, card = dense
    target, lineage = converted(source, card, to, tmp_path)
    assert target.stat().st_size < share * source.stat().st_size
    assert lineage.check.inputs == "synthetic"
    assert lineage.check.max_rel_error < error
    assert (lineage.check.max_abs_error > 0) is (to != "optimized")
    assert lineage.tool == f"onnxruntime {onnxruntime.__version__}"
    x = np.random.default_rng(4).random((5, 128), np.float32)
    before, after = (onnxruntime.InferenceSession(path).run(None, {"input": x})[0] for path in (source, target))
    assert float(np.abs(before - after).max() / np.abs(before).max()) < 2 * error


def test_a_packaged_model_is_compared_on_its_labelled_dataset(tmp_path: Path) -> None:
    """Calibrated with the first eight pictures, judged on the others."""
    source, card = load("ppocr-cls")
    _, lineage = converted(source, card.model_dump(mode="json"), "int8-calibrated", tmp_path)
    check = lineage.check
    assert (check.inputs, check.samples, lineage.parameters["samples"]) == ("text-directions", 24, 8)
    assert check.accuracy_before == 1
    assert check.accuracy_after is not None
    assert check.accuracy_after > 0.9


def test_torchscript_becomes_onnx_with_a_free_batch(tmp_path: Path) -> None:
    """Names come from the signature; the answers are those of the program itself."""
    require_engine("torch")
    source = torch_models.affine(tmp_path / "m.pt")
    with source.open("rb") as file:
        card = check_model(file, {"format": "torchscript"})
    target, lineage = converted(source, card.model_dump(mode="json"), "onnx", tmp_path)
    x = np.arange(12, dtype=np.float32).reshape(3, 4)
    y, z = onnxruntime.InferenceSession(target).run(["y", "z"], {"x": x})
    np.testing.assert_array_equal(y, 2 * x + 1)
    np.testing.assert_array_equal(z, x.sum(1))
    assert lineage.tool.startswith("torch ")
    assert lineage.check.max_abs_error < 1e-6


def test_a_program_that_cannot_be_exported_is_refused_with_the_exporters_words(tmp_path: Path) -> None:
    """Not every operator of PyTorch has an ONNX form."""
    require_engine("torch")
    source = torch_models.AFFINE.replace("2 * x + 1, x.sum(1)", "torch.linalg.svdvals(x)")
    text = torch_models.signature([("x", "FP32", [-1, 4])], [("y", "FP32", [-1])])
    path = torch_models.script(tmp_path / "m.pt", source, text)
    card = ModelCard(format="torchscript", inputs=(TensorCard(name="x", datatype="FP32", shape=(-1, 4)),))
    with pytest.raises(InvalidModel, match="PyTorch cannot export this program"):
        converted(path, card.model_dump(mode="json"), "onnx", tmp_path)


def test_what_is_no_model_is_refused_and_harms_nobody(tmp_path: Path) -> None:
    """The process ends; its last words are the reason."""
    (tmp_path / "m.onnx").write_bytes(b"\x08\x08garbage")
    card = ModelCard(inputs=(TensorCard(name="x", datatype="FP32", shape=(-1, 4)),)).model_dump(mode="json")
    for to in ("optimized", "fp16", "int8", "int8-calibrated"):
        with pytest.raises(InvalidModel, match=f"cannot be converted to {to}: "):
            converted(tmp_path / "m.onnx", card, find_conversion(to, "onnx"), tmp_path)


@pytest.mark.parametrize(("to", "format_"), [("fp16", "torchscript"), ("onnx", "onnx"), ("int4", "onnx")])
def test_what_cannot_be_converted_is_refused_with_what_can(to: str, format_: Any) -> None:
    """By the format of the model."""
    with pytest.raises(InvalidInput) as caught:
        find_conversion(to, format_)
    possible = [name for name, conversion in CONVERSIONS.items() if format_ in conversion.sources]
    assert caught.value.problems[0].allowed == ", ".join(possible)


def test_every_conversion_between_formats_stands_in_the_table_that_jobs_are_told_of() -> None:
    """A job whose platform does not load a model learns what the model can become."""
    changes = {(source, each.target) for each in CONVERSIONS.values() for source in each.sources}
    told = {(source, target) for source, targets in CONVERTS.items() for target in targets}
    assert {(source, target) for source, target in changes if source != target} == told


def test_convert_fetches_converts_and_registers(
    leader: ScriptedLeader,
    inferbench: Inferbench,
    dense: tuple[Path, Mapping[str, Any]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The new model is SOURCE-CONVERSION, its card carries version and digest of the source, and the errors."""
    path, card = dense
    content = path.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    fields = {"name": "net", "version": 2, "state": "ready", "sha256": digest, "size_bytes": len(content)}
    view = ModelView.model_validate({**fields, "card": card, "created_at": "2026-01-01T00:00:00Z"})
    new = view.model_copy(update={"name": "net-fp16", "version": 1})
    leader.answers("GET", "/api/v1/models", Page[ModelView](items=(view,)))
    leader.will("GET", "/api/v1/models/net/versions/2/content", Reply(200, content))
    leader.answers("POST", "/api/v1/models", new.model_copy(update={"state": "pending"}), status=201)
    leader.answers("PUT", "/api/v1/models/net-fp16/versions/1/content", new)
    assert inferbench("models", "convert", "net", "--to", "fp16") == 0
    capsys.readouterr()
    sent = json.loads(leader.requests("POST", "/api/v1/models")[0].body)
    lineage = parse_card(sent["card"]).lineage
    assert sent["name"] == "net-fp16"
    assert lineage is not None
    assert (lineage.source.name, lineage.source.version, lineage.source.sha256) == ("net", 2, digest)
    uploaded = leader.requests("PUT", "/api/v1/models/net-fp16/versions/1/content")[0].body
    assert hashlib.sha256(uploaded).hexdigest() == sent["sha256"]
    assert len(uploaded) < 0.55 * len(content)
