"""Inputs that both models are given: samples of a labelled dataset where one fits, synthetic numbers otherwise."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from follower.generate.datasets.builtin import load_builtin
from follower.pipeline.chain import build_parts, build_postprocess, inputs_of
from follower.pipeline.protocol import PipelineFailed
from follower.serve.openinference.tensors import BYTES, DTYPES, TensorInfo, example_shape
from model_repo.cards import ModelCard, TensorCard
from shared.errors import InvalidModel
from shared.jobs.feeding import Misfit, feeds_of
from shared.jobs.pipeline import PipelineSpec

Array = npt.NDArray[Any]
Inputs = Mapping[str, Array]

SYNTHETIC: Final = "synthetic"
CALIBRATION_SAMPLES: Final = 8
SYNTHETIC_SAMPLES: Final = 24
_SMALL_INTEGERS: Final = 10  # usually indices


@dataclass(frozen=True, kw_only=True)
class Samples:
    """One model input per sample, each a batch of one; the first ones calibrate, the others check."""

    name: str
    inputs: Sequence[Inputs]
    labels: Sequence[str | None]
    answer: Callable[[Array], str | None]  # what one sample's output means

    @property
    def calibration(self) -> Sequence[Inputs]:
        return self.inputs[:CALIBRATION_SAMPLES]

    @property
    def checked(self) -> Sequence[Inputs]:
        return self.inputs[CALIBRATION_SAMPLES:]

    def accuracy(self, outputs: Sequence[Array]) -> float | None:
        """Share of the checked samples whose answer is their label. ``outputs``: the first one of each."""
        labels = self.labels[CALIBRATION_SAMPLES:]
        if not all(labels):
            return None
        right = [self.answer(output[0]) == label for output, label in zip(outputs, labels, strict=True)]
        return sum(right) / len(right)


def samples_for(card: ModelCard, dataset: str | None) -> Samples:
    """Samples of ``dataset``, or of what fits the card.

    Raises:
        InvalidModel: the model's inputs cannot be made from it.
        NotFound: there is no such built-in dataset.
    """
    name = dataset or fitting_dataset(card)
    return _synthetic(card) if name == SYNTHETIC else _labelled(card, name)


def fitting_dataset(card: ModelCard) -> str:
    """The built-in dataset whose labels this model gives; ``synthetic`` where there is none."""
    if card.preprocess and any(op.op == "ctc_decode" for op in card.postprocess):
        return "text-lines"
    if card.preprocess and set(card.labels) == {"0", "180"}:
        return "text-directions"
    if any(op.op == "tokenize" and op.tokenizer == "short-messages" for op in card.preprocess):
        return "short-messages"
    return SYNTHETIC


def _labelled(card: ModelCard, name: str) -> Samples:
    if not card.preprocess:
        raise InvalidModel(f"samples of {name} need a model whose card says how to preprocess; use {SYNTHETIC}")
    spec = PipelineSpec(preprocess=card.preprocess)
    try:
        feeds, preprocess = feeds_of(spec, card.inputs), build_parts(spec)
    except (Misfit, PipelineFailed) as error:
        raise InvalidModel(f"samples of {name} do not fit the model: {error}; use {SYNTHETIC}") from error
    postprocess = build_postprocess(PipelineSpec(postprocess=card.postprocess), card.labels)

    def answer(output: Array) -> str | None:
        found = postprocess(output)
        return None if found is None else found.label

    samples = load_builtin(name).samples
    inputs = [inputs_of(spec, feeds, [preprocess(sample.data)]) for sample in samples]
    labels = [sample.label for sample in samples] if card.postprocess else [None] * len(samples)
    return Samples(name=name, inputs=inputs, labels=labels, answer=answer)


def _synthetic(card: ModelCard) -> Samples:
    """As ``requests.dataset: synthetic`` sends them: 0 to 1, small whole numbers. The same for every conversion."""
    stream = np.random.Generator(np.random.PCG64(0))
    inputs = [{each.name: _random(each, stream) for each in card.inputs} for _ in range(SYNTHETIC_SAMPLES)]
    return Samples(name=SYNTHETIC, inputs=inputs, labels=[None] * len(inputs), answer=lambda _output: None)


def _random(tensor: TensorCard, stream: np.random.Generator) -> Array:
    if tensor.datatype not in DTYPES or tensor.datatype == BYTES:
        raise InvalidModel(f"no synthetic values for input {tensor.name!r} of type {tensor.datatype}; name a dataset")
    dtype = DTYPES[tensor.datatype]
    shape = example_shape(TensorInfo(name=tensor.name, datatype=tensor.datatype, shape=tensor.shape))
    if dtype.kind == "f":
        return stream.random(shape, dtype=np.float32).astype(dtype)
    return stream.integers(0, 2 if dtype.kind == "b" else _SMALL_INTEGERS, size=shape).astype(dtype)
