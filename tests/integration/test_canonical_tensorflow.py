"""Canonical networks as SavedModel: the same numbers as from ONNX Runtime, for the same weights."""

import subprocess
from pathlib import Path

import numpy as np
import onnxruntime  # type: ignore[import-untyped]
import pytest
from pydantic import TypeAdapter
from support.engines import require_engine
from support.saved_models import run_with_tensorflow

from follower.generate.models import MAKERS
from model_repo.canonical.architecture import input_shape
from model_repo.canonical.families import FAMILIES, generate
from model_repo.savedmodel_tar import check_savedmodel, pack
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
CPU = "CPUExecutionProvider"


def spec_of(family: str) -> CanonicalSpec:
    """A network that runs in no time."""
    spec: CanonicalSpec = TypeAdapter[CanonicalSpec](CanonicalSpec).validate_python(SMALL[family])
    return spec


def test_every_family_is_compared() -> None:
    """A family without a TensorFlow network fails here."""
    assert SMALL.keys() == FAMILIES.keys()


_SCORES = """
import sys
import numpy as np
import tensorflow as tf

for folder in sys.argv[1:]:
    served = tf.saved_model.load(f"{folder}/model").signatures["serving_default"]
    np.save(f"{folder}/found.npy", served(input=tf.constant(np.load(f"{folder}/x.npy")))["scores"].numpy())
"""


def test_scores_equal_those_of_the_onnx_file(tmp_path: Path) -> None:
    """At a batch of three; layouts, gate orders and paddings differ between the two, the function does not."""
    require_engine("tensorflow")
    for family in SMALL:
        (tmp_path / family).mkdir()
        spec = spec_of(family)
        model = MAKERS["savedmodel"](spec, tmp_path / family)
        assert (model.card.format, model.card.opset) == ("savedmodel", None)
        pack(model.path, tmp_path / family / "model.tar")
        with (tmp_path / family / "model.tar").open("rb") as file:
            assert check_savedmodel(file)
        x = np.random.default_rng(2).standard_normal((3, *input_shape(spec))).astype(np.float32)
        np.save(tmp_path / family / "x.npy", x)
    run_with_tensorflow(_SCORES, *(str(tmp_path / family) for family in SMALL))
    for family in SMALL:
        x, found = (np.load(tmp_path / family / f"{name}.npy") for name in ("x", "found"))
        session = onnxruntime.InferenceSession(generate(spec_of(family)).onnx_bytes, providers=[CPU])
        (right,) = session.run(None, {"input": x})
        assert found.shape == right.shape == (3, 10)
        assert float(np.abs(right).max()) > 0.01
        np.testing.assert_allclose(found, right, rtol=0, atol=LARGEST_ERROR)


def test_without_the_engine_the_attempt_fails_and_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The follower does not import TensorFlow from anywhere else."""
    monkeypatch.setattr("follower.generate.exported_models.installed_version", lambda _engine: None)
    with pytest.raises(AttemptFailed, match="platforms install tensorflow") as caught:
        MAKERS["savedmodel"](spec_of("fc"), tmp_path)
    assert caught.value.cause is Cause.MODEL_UNAVAILABLE


def test_what_tensorflow_says_of_a_failure_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its last line; here the engine's folder is empty."""
    require_engine("tensorflow")
    monkeypatch.setattr(
        "follower.generate.exported_models.environment_of", lambda _engine: {"PYTHONPATH": str(tmp_path)}
    )
    with pytest.raises(AttemptFailed, match="No module named 'tensorflow'") as caught:
        MAKERS["savedmodel"](spec_of("fc"), tmp_path)
    assert isinstance(caught.value.__cause__, subprocess.CalledProcessError)
