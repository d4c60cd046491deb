"""Canonical networks as TorchScript: the same numbers as from ONNX Runtime, for the same weights."""

from pathlib import Path

import numpy as np
import onnxruntime  # type: ignore[import-untyped]
import pytest
from pydantic import TypeAdapter
from support.engines import require_engine
from support.serving import infer, ready, serve_request

from follower.generate.models import MAKERS
from follower.serve.platforms import PLATFORMS
from model_repo.canonical.architecture import input_shape
from model_repo.canonical.families import FAMILIES, generate
from model_repo.torchscript_check import check_torchscript
from shared.errors import AttemptFailed
from shared.jobs.lifecycle import Cause
from shared.jobs.spec import CanonicalSpec

SMALL = {
    "fc": {"family": "fc", "layers": 3, "width": 32, "seed": 5},
    "cnn": {"family": "cnn", "layers": 2, "width": 8, "image_size": 17, "seed": 5},
    "lstm": {"family": "lstm", "layers": 2, "width": 16, "sequence_length": 6, "seed": 5},
    "attention": {"family": "attention", "layers": 2, "width": 32, "heads": 4, "sequence_length": 7, "seed": 5},
}

LARGEST_ERROR = 1e-4


def spec_of(family: str) -> CanonicalSpec:
    """A network that runs in no time."""
    spec: CanonicalSpec = TypeAdapter[CanonicalSpec](CanonicalSpec).validate_python(SMALL[family])
    return spec


def test_every_family_is_compared() -> None:
    """A family without a PyTorch network fails here."""
    assert SMALL.keys() == FAMILIES.keys()


@pytest.mark.parametrize("family", sorted(SMALL))
def test_scores_equal_those_of_the_onnx_file(family: str, tmp_path: Path) -> None:
    """At a batch of three; layouts, gate orders and paddings differ between the two, the function does not."""
    require_engine("torch")
    spec = spec_of(family)
    x = np.random.default_rng(2).standard_normal((3, *input_shape(spec))).astype(np.float32)
    session = onnxruntime.InferenceSession(generate(spec).onnx_bytes, providers=["CPUExecutionProvider"])
    (right,) = session.run(None, {"input": x})
    model = MAKERS["torchscript"](spec, tmp_path)
    with ready(PLATFORMS["torchscript"], serve_request(model.path, tmp_path / "run")) as service:
        found = infer(service.endpoint, input=x).tensors["scores"]
    assert found.shape == right.shape == (3, 10)
    assert float(np.abs(right).max()) > 0.01
    np.testing.assert_allclose(found, right, rtol=0, atol=LARGEST_ERROR)


def test_the_file_passes_the_check_of_uploads_and_weighs_what_its_card_says(tmp_path: Path) -> None:
    """Its signature is the ONNX file's, its weights as many."""
    require_engine("torch")
    model = MAKERS["torchscript"](spec_of("fc"), tmp_path)
    with model.path.open("rb") as file:
        facts = check_torchscript(file)
    assert (facts.signature.inputs, facts.signature.outputs) == (model.card.inputs, model.card.outputs)
    assert facts.weight_bytes == model.card.weight_bytes
    assert (model.card.format, model.card.opset) == ("torchscript", None)


def test_without_the_engine_the_attempt_fails_and_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The follower does not import PyTorch from anywhere else."""
    monkeypatch.setattr("follower.generate.exported_models.installed_version", lambda _engine: None)
    with pytest.raises(AttemptFailed, match="platforms install torch") as caught:
        MAKERS["torchscript"](spec_of("fc"), tmp_path)
    assert caught.value.cause is Cause.MODEL_UNAVAILABLE
