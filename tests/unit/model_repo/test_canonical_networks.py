"""Canonical networks compute what their papers say, in ONNX Runtime, for any hyper-parameters and batch."""

import hashlib
from io import BytesIO
from math import prod
from typing import get_args

import numpy as np
import onnx
import onnxruntime as ort  # type: ignore[import-untyped]
import pytest
from support.numpy_forward import forward

from model_repo.canonical.families import FAMILIES, families, generate
from model_repo.canonical.weights import Weights
from model_repo.onnx_check import check_onnx
from shared.jobs.spec import AttentionModel, CanonicalSpec, FullyConnectedModel, LstmModel, ResidualCnnModel

SPECS: list[CanonicalSpec] = [
    FullyConnectedModel(family="fc", layers=1, width=1),
    FullyConnectedModel(family="fc", layers=3, width=17, seed=5),
    FullyConnectedModel(family="fc", layers=20, width=64),
    ResidualCnnModel(family="cnn", layers=1, width=1, image_size=8),
    ResidualCnnModel(family="cnn", layers=2, width=6, image_size=13, seed=9),
    ResidualCnnModel(family="cnn", layers=12, width=8, image_size=16),
    LstmModel(family="lstm", layers=1, width=1, sequence_length=1),
    LstmModel(family="lstm", layers=3, width=11, sequence_length=7, seed=2),
    LstmModel(family="lstm", layers=2, width=32, sequence_length=40),
    AttentionModel(family="attention", layers=1, width=8, heads=1, sequence_length=1),
    AttentionModel(family="attention", layers=2, width=24, heads=3, sequence_length=5, seed=7),
    AttentionModel(family="attention", layers=12, width=32, heads=4, sequence_length=16),
]


def name_of(spec: CanonicalSpec) -> str:
    """How a spec is shown in the list of tests."""
    return "-".join(str(value) for value in spec.model_dump().values())


def session_of(onnx_bytes: bytes) -> ort.InferenceSession:
    """The model in the runtime, on one thread and without fused approximations."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    return ort.InferenceSession(onnx_bytes, options, providers=["CPUExecutionProvider"])


@pytest.mark.parametrize("spec", SPECS, ids=name_of)
def test_the_runtime_agrees_with_numpy(spec: CanonicalSpec) -> None:
    """One session answers batches of 1, 2 and 5 as the equations do."""
    model = generate(spec)
    session = session_of(model.onnx_bytes)
    random = np.random.default_rng(1)
    for batch in (1, 2, 5):
        inputs = random.normal(size=(batch, *model.card.inputs[0].shape[1:])).astype(np.float32)
        (scores,) = session.run(["scores"], {"input": inputs})
        assert scores.shape == (batch, 10)
        np.testing.assert_allclose(scores, forward(spec, model.onnx_bytes, inputs), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("spec", SPECS, ids=name_of)
def test_the_onnx_checker_accepts_the_file(spec: CanonicalSpec) -> None:
    """Types and shapes are inferred strictly all through the graph."""
    proto = onnx.load_from_string(generate(spec).onnx_bytes)
    onnx.checker.check_model(proto, full_check=True)
    assert proto.ir_version == 8
    assert [(opset.domain, opset.version) for opset in proto.opset_import] == [("", 17)]


@pytest.mark.parametrize("spec", SPECS, ids=name_of)
def test_the_card_says_what_is_in_the_file(spec: CanonicalSpec) -> None:
    """Parameters and bytes by counting initializers; tensors as the leader's own check reads them."""
    model = generate(spec)
    initializers = onnx.load_from_string(model.onnx_bytes).graph.initializer
    assert model.card.parameters == sum(prod(tensor.dims) for tensor in initializers)
    assert model.card.weight_bytes == sum(len(tensor.raw_data) for tensor in initializers)
    facts = check_onnx(BytesIO(model.onnx_bytes))
    assert facts.opset == model.card.opset
    for found, said in zip((*facts.inputs, *facts.outputs), (*model.card.inputs, *model.card.outputs), strict=True):
        assert (found.name, found.datatype, found.shape) == (said.name, said.datatype, said.shape)


@pytest.mark.parametrize(
    "spec",
    [
        FullyConnectedModel(family="fc", layers=200, width=64),
        ResidualCnnModel(family="cnn", layers=60, width=16, image_size=16),
        LstmModel(family="lstm", layers=12, width=32, sequence_length=100),
        AttentionModel(family="attention", layers=60, width=32, heads=4, sequence_length=8),
    ],
    ids=name_of,
)
def test_depth_neither_kills_nor_blows_up_the_scores(spec: CanonicalSpec) -> None:
    """Deep networks still answer different inputs with different, moderate numbers."""
    model = generate(spec)
    inputs = np.random.default_rng(3).normal(size=(8, *model.card.inputs[0].shape[1:])).astype(np.float32)
    (scores,) = session_of(model.onnx_bytes).run(["scores"], {"input": inputs})
    assert np.isfinite(scores).all()
    assert np.abs(scores).max() < 100
    assert np.abs(scores).max() > 1e-3


@pytest.mark.parametrize("spec", SPECS[1::3], ids=name_of)
def test_the_same_spec_gives_the_same_bytes(spec: CanonicalSpec) -> None:
    """Twice the same; with another seed, other weights in a file of the same size."""
    first = generate(spec).onnx_bytes
    assert generate(spec).onnx_bytes == first
    other = generate(spec.model_copy(update={"seed": spec.seed + 1})).onnx_bytes
    assert other != first
    assert len(other) == len(first)


def test_bytes_do_not_change_unnoticed() -> None:
    """These bytes are part of records; where they must change, GENERATOR_VERSION grows and these digests with it."""
    digests = {spec.family: hashlib.sha256(generate(spec).onnx_bytes).hexdigest()[:16] for spec in SPECS[1::3]}
    assert digests == {
        "fc": "e0ea3839765233e3",
        "cnn": "46139673ffda5dac",
        "lstm": "5669b42fe35a195e",
        "attention": "046b35d81aeea211",
    }


def test_weights_follow_the_raw_stream() -> None:
    """Each number is the top 24 bits of one half of a PCG64 word, low half first, spread over +-sqrt(3) deviations."""
    raw = [int(word) for word in np.random.PCG64(4).random_raw(2)]
    halves = [raw[0] & 0xFFFFFFFF, raw[0] >> 32, raw[1] & 0xFFFFFFFF]
    expected = [((half >> 8) / 2**24 * 2 - 1) * 3**0.5 * 0.5 + 2 for half in halves]
    np.testing.assert_allclose(Weights(4).uniform((3,), 0.5, mean=2.0), expected, rtol=1e-6)


def test_weights_have_the_deviation_asked_for() -> None:
    """Over a hundred thousand numbers the mean and the deviation come out."""
    numbers = Weights(0).uniform((1000, 100), 0.3, mean=-1.0)
    assert numbers.mean() == pytest.approx(-1.0, abs=0.01)
    assert numbers.std() == pytest.approx(0.3, rel=0.01)
    assert np.abs(numbers + 1).max() <= 0.3 * 3**0.5 * 1.0001


def test_every_family_of_the_job_file_can_be_generated() -> None:
    """What the format knows is what a follower announces."""
    declared = [get_args(model.model_fields["family"].annotation)[0] for model in get_args(get_args(CanonicalSpec)[0])]
    assert list(families()) == declared == list(FAMILIES)
