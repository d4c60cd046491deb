"""A model's card: what its bytes are, what it takes and gives, what one sample costs."""

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from model_repo.convert.lineage import Lineage
from shared.errors import InvalidModel, Problem
from shared.jobs.formats import ModelFormat
from shared.jobs.pipeline import PostprocessOp, PreprocessOp

Datatype = Literal[
    "BOOL", "UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64", "FP16", "FP32", "FP64", "BF16",
    "BYTES",
]  # fmt: skip
"""Datatypes of the Open Inference Protocol v2, plus its BF16 extension."""

DATATYPES: Final[tuple[str, ...]] = get_args(Datatype)


class TensorCard(BaseModel):
    """One input or output."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1)
    datatype: Datatype
    shape: tuple[Annotated[int, Field(ge=-1)], ...] = Field(description="-1 is free; the first axis is the batch.")


class Training(BaseModel):
    """How a canonical model was trained. Losses: cross-entropy in nats, of samples that it was not trained on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    steps: int = Field(ge=1)
    loss_before: float = Field(ge=0, allow_inf_nan=False)
    loss_after: float = Field(ge=0, allow_inf_nan=False)


class ModelCard(BaseModel):
    """What is known of a model. ``None`` means "not known", never zero.

    Costs are for one sample; one multiply-add counts as two floating-point operations.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: ModelFormat = "onnx"
    task: str = ""
    description: str = ""
    source: str = ""
    license: str = ""
    inputs: tuple[TensorCard, ...] = ()
    outputs: tuple[TensorCard, ...] = ()
    labels: tuple[str, ...] = Field((), description="Name of each class, by index.")
    opset: int | None = Field(None, ge=1)
    parameters: int | None = Field(None, ge=0)
    weight_bytes: int | None = Field(None, ge=0)
    flops_per_sample: int | None = Field(None, ge=0)
    activation_bytes_per_sample: int | None = Field(None, ge=0)
    preprocess: tuple[PreprocessOp, ...] = Field((), description="Hint: what a job's pipeline should do before it.")
    postprocess: tuple[PostprocessOp, ...] = Field((), description="Hint: what a job's pipeline should do after it.")
    lineage: Lineage | None = Field(None, description="What it was converted from, and how well.")
    training: Training | None = Field(None, description="How a canonical model was trained before it was written.")


def complete_card(sent: Mapping[str, Any], found: Mapping[str, Any]) -> ModelCard:
    """The card that a user sent, with what it leaves open filled in from ``found``, which the model's own bytes say.

    Raises:
        InvalidModel: The card is malformed, or says something that the bytes contradict; all problems are listed.
    """
    card = parse_card(sent)
    problems = [
        Problem(path=f"card.{field}", message="contradicts the model file", found=f"{said}", allowed=f"{value}")
        for field, value in found.items()
        if (said := getattr(card, field)) not in (None, (), value)
    ]
    if problems:
        raise InvalidModel("The card and the model file disagree", problems=problems)
    return card.model_copy(update=found)


def parse_card(sent: Mapping[str, Any]) -> ModelCard:
    """A card as it came over the wire.

    Raises:
        InvalidModel: With one problem per fault.
    """
    try:
        return ModelCard.model_validate(sent)
    except ValidationError as error:
        problems = [
            Problem(path=".".join(["card", *map(str, fault["loc"])]), message=fault["msg"]) for fault in error.errors()
        ]
        raise InvalidModel("The model card is not valid", problems=problems) from None
