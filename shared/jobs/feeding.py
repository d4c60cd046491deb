"""Which input of a model gets which part of a pre-processed sample: decided by names, before anything is sent. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, Protocol

from shared.jobs.pipeline import PipelineSpec, Tokenize
from shared.jobs.section import Contradiction

Part = Literal["sample", "ids", "mask", "type_ids"]
"""What one sample is made of: itself, or where it is a text, what a tokenizer says of it."""

USUAL_NAMES: Final[Mapping[str, Part]] = {"input_ids": "ids", "attention_mask": "mask", "token_type_ids": "type_ids"}
"""Input names of BERT-like models, as the exporters of the ``transformers`` library give them."""

_NUMBERS: Final[Mapping[Part, tuple[str, ...]]] = {
    "ids": ("INT64", "INT32"),
    "type_ids": ("INT64", "INT32"),
    "mask": ("INT64", "INT32", "INT8", "UINT8", "BOOL", "FP32", "FP16"),
}
"""Datatypes that hold each part whole; ids of a large vocabulary fit no smaller one."""


class Input(Protocol):
    """An input of a model, as its card or the running service describes it."""

    @property
    def name(self) -> str: ...

    @property
    def datatype(self) -> str: ...


@dataclass(frozen=True)
class Feed:
    """One input of the model, and what it gets."""

    name: str
    datatype: str  # "INT64"
    part: Part


class Misfit(ValueError):
    """The pipeline cannot feed the model; ``contradiction`` says where in ``pipeline``."""

    def __init__(self, contradiction: Contradiction) -> None:
        self.contradiction = contradiction
        super().__init__(contradiction.message)


def feeds_of(pipeline: PipelineSpec, inputs: Sequence[Input]) -> tuple[Feed, ...]:
    """Every input of the model with what it gets, in the model's order.

    Raises:
        Misfit: an input gets nothing, a name is none of the model's, or a datatype cannot hold what it gets.
    """
    op = pipeline.tokenize
    if op is None:
        return _one_sample(inputs)
    at = ("preprocess", pipeline.preprocess.index(op))
    parts = _named(op, inputs, at)
    feeds = tuple(Feed(each.name, each.datatype, parts[each.name]) for each in inputs)
    for feed in feeds:
        fitting = _NUMBERS[feed.part]
        if feed.datatype not in fitting:
            message = f"input {feed.name} is {feed.datatype}; {feed.part} of a text are {' or '.join(fitting)}"
            raise Misfit(Contradiction((*at, "outputs"), message))
    return feeds


def _one_sample(inputs: Sequence[Input]) -> tuple[Feed, ...]:
    if len(inputs) != 1:
        message = f"these ops feed one input; the model takes {_list(inputs)}"
        raise Misfit(Contradiction(("preprocess",), message))
    return (Feed(inputs[0].name, inputs[0].datatype, "sample"),)


def _named(op: Tokenize, inputs: Sequence[Input], at: tuple[str | int, ...]) -> Mapping[str, Part]:
    """What each input of the model gets, by its name."""
    asked = dict(_asked(op))
    known: Mapping[str, Part] = asked or USUAL_NAMES
    if not asked and len(inputs) == 1:
        return {inputs[0].name: "ids"}
    names = [each.name for each in inputs]
    for name, part in asked.items():
        if name not in names:
            message = f"the model has no input {name}; it takes {_list(inputs)}"
            raise Misfit(Contradiction((*at, "outputs", part), message))
    for name in names:
        if name not in known:
            message = f"nothing is said of the model's input {name}; it takes {_list(inputs)}: name each in outputs"
            raise Misfit(Contradiction((*at, "outputs"), message))
    if "ids" not in {known[name] for name in names}:
        raise Misfit(Contradiction((*at, "outputs"), f"no input takes the ids; the model takes {_list(inputs)}"))
    return known


def _asked(op: Tokenize) -> Iterator[tuple[str, Part]]:
    if op.outputs is None:
        return
    yield op.outputs.ids, "ids"
    if op.outputs.mask is not None:
        yield op.outputs.mask, "mask"
    if op.outputs.type_ids is not None:
        yield op.outputs.type_ids, "type_ids"


def _list(inputs: Sequence[Input]) -> str:
    return ", ".join(each.name for each in inputs) or "no input"
