"""Pre- and post-processing of a job file: declared ops, never code."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field


class Op(BaseModel):
    """One declared step."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class DecodeImage(Op):
    """JPEG or PNG bytes -> uint8 HWC."""

    op: Literal["decode_image"]
    channels: Literal["rgb", "bgr", "gray"] = "rgb"


class Resize(Op):
    """HWC -> HWC of ``size``, bilinear; ``keep_aspect`` fits the height and pads the right edge with zeros."""

    op: Literal["resize"]
    size: tuple[Annotated[int, Field(ge=1, le=8192)], Annotated[int, Field(ge=1, le=8192)]] = Field(
        strict=False, description="Height and width."
    )
    keep_aspect: bool = False


class Normalize(Op):
    """uint8 HWC -> float32 HWC: (x / 255 - mean) / std, per channel."""

    op: Literal["normalize"]
    mean: tuple[float, ...] = Field((0.0,), strict=False, min_length=1, max_length=4)
    std: tuple[Annotated[float, Field(gt=0)], ...] = Field((1.0,), strict=False, min_length=1, max_length=4)


class ChannelsFirst(Op):
    """HWC -> CHW."""

    op: Literal["channels_first"]


class Softmax(Op):
    """Scores -> probabilities over the last axis."""

    op: Literal["softmax"]


class TopK(Op):
    """Scores -> the k best classes, best first."""

    op: Literal["top_k"]
    k: int = Field(1, ge=1, le=1000)


class CtcDecode(Op):
    """Per-step class scores -> text: best path, repeats merged, blanks dropped. Labels come from the model card."""

    op: Literal["ctc_decode"]


PreprocessOp = Annotated[DecodeImage | Resize | Normalize | ChannelsFirst, Field(discriminator="op")]
PostprocessOp = Annotated[Softmax | TopK | CtcDecode, Field(discriminator="op")]


class PipelineSpec(BaseModel):
    """What happens to a sample before and after the model, and on which side."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    side: Literal["client", "server"] = "client"
    preprocess: tuple[PreprocessOp, ...] = Field((), strict=False)
    postprocess: tuple[PostprocessOp, ...] = Field((), strict=False)
