"""Canonical networks that are trained for a few steps: the loss falls, and the emitter's network says the same.

The trained weights are read back from the file by the framework that wrote it, brought into ONNX's layouts here, and
put in the place of those that the ONNX file came with.
"""

import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime  # type: ignore[import-untyped]
import pytest
from onnx import numpy_helper
from pydantic import TypeAdapter
from support.engines import require_engine
from support.saved_models import run_with_tensorflow

from follower.engines.folder import environment_of
from follower.generate.models import MAKERS
from model_repo.canonical.architecture import input_shape
from model_repo.canonical.families import FAMILIES, generate
from model_repo.cards import ModelCard, Training
from shared.errors import AttemptFailed, InvalidModel
from shared.jobs.formats import ModelFormat
from shared.jobs.lifecycle import Cause
from shared.jobs.spec import CanonicalSpec, FullyConnectedModel

Array = npt.NDArray[Any]

STEPS = 6
SMALL: Mapping[str, Mapping[str, int | str]] = {
    "fc": {"family": "fc", "layers": 3, "width": 32, "seed": 5},
    "cnn": {"family": "cnn", "layers": 2, "width": 8, "image_size": 17, "seed": 5},
    "lstm": {"family": "lstm", "layers": 2, "width": 16, "sequence_length": 6, "seed": 5},
    "attention": {"family": "attention", "layers": 2, "width": 32, "heads": 4, "sequence_length": 7, "seed": 5},
}
ENGINES: Mapping[ModelFormat, str] = {"savedmodel": "tensorflow", "torchscript": "torch"}
LARGEST_ERROR = 1e-4
BETWEEN_FRAMEWORKS = 1e-3  # each rounds its gradients in its own way

_TENSORFLOW = """
import sys
import numpy as np
import tensorflow as tf

for folder in sys.argv[1:]:
    loaded = tf.saved_model.load(f"{folder}/model")
    np.savez(f"{folder}/weights.npz", *[weight.numpy() for weight in loaded.weights])
    scores = loaded.signatures["serving_default"](input=tf.constant(np.load(f"{folder}/x.npy")))["scores"]
    np.save(f"{folder}/scores.npy", scores.numpy())
"""

_TORCH = """
import sys
import numpy as np
import torch

for folder in sys.argv[1:]:
    loaded = torch.jit.load(f"{folder}/model.pt")
    np.savez(f"{folder}/weights.npz", *[weight.numpy() for weight in loaded.state_dict().values()])
    with torch.inference_mode():
        np.save(f"{folder}/scores.npy", loaded(torch.from_numpy(np.load(f"{folder}/x.npy"))).numpy())
"""


def spec_of(family: str, steps: int = STEPS) -> CanonicalSpec:
    """A network that trains in no time."""
    found: CanonicalSpec = TypeAdapter[CanonicalSpec](CanonicalSpec).validate_python(
        {**SMALL[family], "train_steps": steps}
    )
    return found


def run_with_torch(script: str, *arguments: str) -> None:
    """The script may import PyTorch."""
    environment = {**environment_of("torch"), "OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, "-c", script, *arguments], env=environment, check=True, timeout=100)


@pytest.fixture(scope="module", params=["savedmodel", "torchscript"])
def trained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[ModelFormat, Path]:
    """A folder for each family: the model that a follower makes, its weights, and its scores of x."""
    format_: ModelFormat = request.param
    return format_, _trained(format_, tmp_path_factory.getbasetemp())


def _trained(format_: ModelFormat, place: Path) -> Path:
    require_engine(ENGINES[format_])
    root = place / format_
    if root.exists():
        return root
    for family in SMALL:
        folder = root / family
        folder.mkdir(parents=True)
        spec = spec_of(family)
        made = MAKERS[format_](spec, folder)
        (folder / "card.json").write_text(made.card.model_dump_json())
        x = np.random.default_rng(2).standard_normal((3, *input_shape(spec))).astype(np.float32)
        np.save(folder / "x.npy", x)
    folders = [str(root / family) for family in SMALL]
    if format_ == "savedmodel":
        run_with_tensorflow(_TENSORFLOW, *folders)
    else:
        run_with_torch(_TORCH, *folders)
    return root


# ONNX's layouts


def onnx_weights(format_: ModelFormat, family: str, folder: Path) -> list[Array]:
    """The trained weights as ONNX's operators take them."""
    with np.load(folder / "weights.npz") as arrays:
        weights = [arrays[f"arr_{number}"] for number in range(len(arrays.files))]
    if family == "lstm":
        return [*_lstm(format_, weights[:-2]), *_dense(format_, weights[-2:])]
    return list(_dense(format_, weights))


def _dense(format_: ModelFormat, weights: list[Array]) -> Iterator[Array]:
    """PyTorch keeps matrices the other way round; TensorFlow keeps kernels as (height, width, in, out)."""
    for weight in weights:
        if format_ == "torchscript":
            yield weight.T if weight.ndim == 2 else weight
        else:
            yield weight.transpose(3, 2, 0, 1) if weight.ndim == 4 else weight


def _lstm(format_: ModelFormat, weights: list[Array]) -> Iterator[Array]:
    """W, R and B of each layer, with a leading axis of directions."""
    if format_ == "torchscript":
        for first in range(0, len(weights), 4):
            weight, recurrence, bias, state_bias = weights[first : first + 4]
            yield from (_gates(format_, weight), _gates(format_, recurrence))
            yield np.concatenate([_gates(format_, bias), _gates(format_, state_bias)], axis=1)
    else:
        for joined, bias in zip(weights[::2], weights[1::2], strict=True):
            width = len(bias) // 4
            yield from (_gates(format_, joined[:-width].T), _gates(format_, joined[-width:].T))
            yield np.concatenate([_gates(format_, bias), np.zeros((1, len(bias)), np.float32)], axis=1)


def _gates(format_: ModelFormat, values: Array) -> Array:
    """PyTorch's input, forget, cell, output, and TensorFlow's input, cell, forget, output."""
    into, one, other, out = np.split(values, 4)
    forget, cell = (one, other) if format_ == "torchscript" else (other, one)
    return np.concatenate([into, out, forget, cell])[None]


def emitted(family: str, weights: list[Array] | None, x: Array) -> Array:
    """What the ONNX emitter's network answers, with these weights in the place of its own."""
    model = onnx.load_from_string(generate(spec_of(family, steps=0)).onnx_bytes)
    if weights is not None:
        for tensor, values in zip(model.graph.initializer, weights, strict=True):
            assert tuple(tensor.dims) == values.shape
            tensor.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(values), tensor.name))
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    scores: Array = session.run(["scores"], {"input": x})[0]
    return scores


def test_every_family_is_trained() -> None:
    """A family that no framework trains fails here."""
    assert SMALL.keys() == FAMILIES.keys()


@pytest.mark.parametrize("family", SMALL)
def test_the_loss_of_samples_that_it_was_not_trained_on_falls(trained: tuple[ModelFormat, Path], family: str) -> None:
    """And stands in the card, which becomes a part of the record. Ten classes, told apart by chance: ln 10."""
    format_, root = trained
    card = ModelCard.model_validate_json((root / family / "card.json").read_bytes())
    assert card.training is not None
    assert card.training.steps == STEPS
    assert card.training.loss_before > np.log(10) * 0.99
    assert card.training.loss_after < card.training.loss_before - 0.003
    assert f"trained for {STEPS} steps" in card.description
    assert card.format == format_


@pytest.mark.parametrize("family", SMALL)
def test_the_emitters_network_with_the_trained_weights_answers_the_same(
    trained: tuple[ModelFormat, Path], family: str
) -> None:
    """And with its own weights it does not: something was learnt."""
    format_, root = trained
    x, found = (np.load(root / family / f"{name}.npy") for name in ("x", "scores"))
    right = emitted(family, onnx_weights(format_, family, root / family), x)
    np.testing.assert_allclose(found, right, rtol=0, atol=LARGEST_ERROR)
    assert float(np.abs(emitted(family, None, x) - right).max()) > 10 * LARGEST_ERROR


def test_both_frameworks_learn_the_same(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Same start, same samples, same steps: records of the two may be compared."""
    roots = [_trained(format_, tmp_path_factory.getbasetemp()) for format_ in ENGINES]
    for family in SMALL:
        one, other = (np.load(root / family / "scores.npy") for root in roots)
        np.testing.assert_allclose(one, other, rtol=0, atol=BETWEEN_FRAMEWORKS)


@pytest.mark.parametrize("format_", ENGINES)
def test_training_again_gives_the_same_weights(format_: ModelFormat, tmp_path: Path) -> None:
    """Bit by bit, on one machine."""
    require_engine(ENGINES[format_])
    losses: list[Training | None] = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        losses.append(MAKERS[format_](spec_of("attention"), tmp_path / name).card.training)
    assert losses[0] == losses[1]
    assert losses[0] is not None


def test_untrained_models_stay_as_they_were(tmp_path: Path) -> None:
    """Zero steps: no training, and nothing of it in the card."""
    require_engine("torch")
    card = MAKERS["torchscript"](spec_of("fc", steps=0), tmp_path).card
    assert card.training is None
    assert card.description.endswith("; random weights")


def test_the_onnx_emitter_trains_nothing(tmp_path: Path) -> None:
    """It has no framework that could; a job file that asks for it is refused before."""
    with pytest.raises(InvalidModel, match="savedmodel or torchscript"):
        MAKERS["onnx"](spec_of("fc"), tmp_path)


def test_a_training_that_takes_too_long_fails_the_attempt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the limit."""
    require_engine("torch")
    monkeypatch.setattr("follower.generate.exported_models._TIMEOUT_S", 0.01)
    with pytest.raises(AttemptFailed, match="did not write the model within") as caught:
        MAKERS["torchscript"](FullyConnectedModel(family="fc", train_steps=100), tmp_path)
    assert caught.value.cause is Cause.MODEL_UNAVAILABLE
