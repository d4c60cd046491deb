"""Pre- and post-processing of a job file: declared ops, never code."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, ClassVar, Final, Literal, Self

from pydantic import Field, model_validator

from shared.jobs.section import Contradiction, Loc, Section, refuse

Form = Literal["bytes", "pixels", "floats", "planes", "tokens", "scores", "probabilities", "answer"]
"""What a sample is between two ops: file bytes, uint8 HWC, float32 HWC, CHW, ids; model output, then what it means."""

_NAMES: dict[Form, str] = {
    "bytes": "the bytes of the dataset",
    "pixels": "an image",
    "floats": "a normalised image",
    "planes": "a channels-first image",
    "tokens": "token ids",
    "scores": "the model's scores",
    "probabilities": "probabilities",
    "answer": "the final answer",
}

INPUT_NAME_PATTERN: Final = r"^[!-~]{1,128}$"
InputName = Annotated[str, Field(pattern=INPUT_NAME_PATTERN)]
"""Of an input of the model, as its metadata has it."""

SHORT_MESSAGES_SHA256: Final = "533a24ba8265a0cac9b34bb42721341243934829465d2fe70b249beca7ff86e1"
"""Of the tokenizer ``short-messages``: its vocabulary and how it splits text (follower/pipeline/vocabulary.py)."""


class Op(Section):
    """One declared step. It takes a sample in one of the forms ``takes`` and gives it in the form ``gives``."""

    takes: ClassVar[tuple[Form, ...]]
    gives: ClassVar[Form | None]  # None: as it came


class DecodeImage(Op):
    """JPEG or PNG bytes -> uint8 HWC."""

    takes: ClassVar[tuple[Form, ...]] = ("bytes",)
    gives: ClassVar[Form | None] = "pixels"

    op: Literal["decode_image"]
    channels: Literal["rgb", "bgr", "gray"] = Field("rgb", description="Order of the colour channels.")


class DecodeFrames(Op):
    """Bytes of an animated WebP, GIF or PNG -> ``count`` frames of uint8 HWC, spread evenly over all of them.

    Every op after it runs on each frame, the model gets the frames as rows of its batch, and before the first op of
    post-processing their outputs are averaged.
    """

    takes: ClassVar[tuple[Form, ...]] = ("bytes",)
    gives: ClassVar[Form | None] = "pixels"

    op: Literal["decode_frames"]
    count: int = Field(8, ge=1, le=256, description="How many frames of each sample.")
    channels: Literal["rgb", "bgr", "gray"] = Field("rgb", description="Order of the colour channels.")


class Resize(Op):
    """HWC -> HWC of ``size``, bilinear; ``keep_aspect`` fits the height and pads the right edge with zeros."""

    takes: ClassVar[tuple[Form, ...]] = ("pixels", "floats")
    gives: ClassVar[Form | None] = None

    op: Literal["resize"]
    size: tuple[Annotated[int, Field(ge=1, le=8192)], Annotated[int, Field(ge=1, le=8192)]] = Field(
        strict=False, description="Height and width."
    )
    keep_aspect: bool = Field(False, description="Fit the height, pad the right edge with zeros.")


class Normalize(Op):
    """uint8 HWC -> float32 HWC: (x / 255 - mean) / std, per channel."""

    takes: ClassVar[tuple[Form, ...]] = ("pixels",)
    gives: ClassVar[Form | None] = "floats"

    op: Literal["normalize"]
    mean: tuple[float, ...] = Field(
        (0.0,), strict=False, min_length=1, max_length=4, description="One for all channels, or one per channel."
    )
    std: tuple[Annotated[float, Field(gt=0)], ...] = Field(
        (1.0,), strict=False, min_length=1, max_length=4, description="One for all channels, or one per channel."
    )

    @model_validator(mode="after")
    def _lengths_agree(self) -> Self:
        refuse(self._unequal_lengths())
        return self

    def _unequal_lengths(self) -> Iterator[Contradiction]:
        if len({len(self.mean), len(self.std)} - {1}) > 1:
            yield Contradiction(("std",), f"mean has {len(self.mean)} channels and std has {len(self.std)}")


class ChannelsFirst(Op):
    """HWC -> CHW."""

    takes: ClassVar[tuple[Form, ...]] = ("pixels", "floats")
    gives: ClassVar[Form | None] = "planes"

    op: Literal["channels_first"]


class TokenOutputs(Section):
    """Which input of the model gets what of a text, by the names of the model's own metadata."""

    ids: InputName = Field(description="The input that takes the ids.")
    mask: InputName | None = Field(None, description="The input that takes 1 for each token and 0 for filling.")
    type_ids: InputName | None = Field(None, description="The input that takes each token's segment: 0 in one text.")

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        refuse(self._taken_names())
        return self

    def _taken_names(self) -> Iterator[Contradiction]:
        if self.mask == self.ids:
            yield Contradiction(("mask",), f"input {self.ids} takes the ids already")
        if self.type_ids is not None and self.type_ids in {self.ids, self.mask}:
            yield Contradiction(("type_ids",), f"input {self.type_ids} takes something else already")


class Tokenize(Op):
    """UTF-8 text -> int64 ids of shape (max_length,), and a mask; a shorter text is filled up on the right.

    A model with one input gets the ids. One with several gets what `outputs` says, or by the names that BERT's exports
    have: `input_ids`, `attention_mask`, `token_type_ids`.

    The tokenizer is part of the task: its digest stands in the job, and so in what makes records comparable; of the
    tokenizer `model`, which comes with the model's file, that file's digest does.
    """

    takes: ClassVar[tuple[Form, ...]] = ("bytes",)
    gives: ClassVar[Form | None] = "tokens"

    op: Literal["tokenize"]
    tokenizer: Literal["short-messages", "model"] = Field(
        "short-messages",
        description="Which vocabulary and rules; `model`: the `tokenizer.json` in the ONNX file's metadata.",
    )
    tokenizer_sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = Field(
        SHORT_MESSAGES_SHA256,
        description="Digest of the tokenizer; a follower that has another one under that name refuses the job. Empty"
        " with `tokenizer: model` means whichever the file has.",
    )
    max_length: int = Field(64, ge=1, le=4096, description="How many ids every text becomes.")
    truncate: bool = Field(True, description="Cut what is too long on the right; false: it is an error.")
    special_tokens: bool = Field(
        False, description="With what the tokenizer itself puts around a text, such as [CLS] and [SEP]."
    )
    outputs: TokenOutputs | None = Field(
        None, description="Which input of the model gets what; absent: by their names."
    )

    @model_validator(mode="before")
    @classmethod
    def _models_own_has_no_usual_digest(cls, data: Any) -> Any:
        if isinstance(data, Mapping) and data.get("tokenizer") == "model" and "tokenizer_sha256" not in data:
            return {**data, "tokenizer_sha256": None}
        return data

    @model_validator(mode="after")
    def _built_in_has_its_digest(self) -> Self:
        refuse(self._no_digest())
        return self

    def _no_digest(self) -> Iterator[Contradiction]:
        if self.tokenizer != "model" and self.tokenizer_sha256 is None:
            yield Contradiction(("tokenizer_sha256",), f"tokenizer {self.tokenizer} is built in and has a digest")


class Softmax(Op):
    """Scores -> probabilities over the last axis."""

    takes: ClassVar[tuple[Form, ...]] = ("scores",)
    gives: ClassVar[Form | None] = "probabilities"

    op: Literal["softmax"]


class TopK(Op):
    """Scores -> the k best classes, best first."""

    takes: ClassVar[tuple[Form, ...]] = ("scores", "probabilities")
    gives: ClassVar[Form | None] = "answer"

    op: Literal["top_k"]
    k: int = Field(1, ge=1, le=1000, description="How many classes.")


class CtcDecode(Op):
    """Per-step class scores -> text: best path, repeats merged, blanks dropped. Labels come from the model card."""

    takes: ClassVar[tuple[Form, ...]] = ("scores", "probabilities")
    gives: ClassVar[Form | None] = "answer"

    op: Literal["ctc_decode"]


PreprocessOp = Annotated[
    DecodeImage | DecodeFrames | Resize | Normalize | ChannelsFirst | Tokenize, Field(discriminator="op")
]
PostprocessOp = Annotated[Softmax | TopK | CtcDecode, Field(discriminator="op")]


class PipelineSpec(Section):
    """What happens to a sample before and after the model, and on which side."""

    side: Literal["client", "server"] = Field("client", description="Who does it.")
    preprocess: tuple[PreprocessOp, ...] = Field(
        (), strict=False, max_length=32, description="Ops between the dataset and the request, in order."
    )
    postprocess: tuple[PostprocessOp, ...] = Field(
        (), strict=False, max_length=32, description="Ops between the response and the answer, in order."
    )

    @property
    def frames(self) -> int | None:
        """Rows of the model's batch that one sample becomes; None where it is one, without an axis for frames."""
        return next((op.count for op in self.preprocess if isinstance(op, DecodeFrames)), None)

    @property
    def tokenize(self) -> Tokenize | None:
        """The op that makes tokens of texts, where there is one."""
        return next((op for op in self.preprocess if isinstance(op, Tokenize)), None)

    @property
    def in_server(self) -> bool:
        """Whether the server has ops to run; without ops there is no side."""
        return self.side == "server" and bool(self.preprocess or self.postprocess)

    @property
    def ends_in_answers(self) -> bool:
        """Whether the last op says what an output means, and does not leave it a number."""
        return bool(self.postprocess) and self.postprocess[-1].gives == "answer"

    @model_validator(mode="after")
    def _ops_follow_each_other(self) -> Self:
        refuse(
            [
                *_misplaced("preprocess", self.preprocess, "bytes"),
                *_misplaced("postprocess", self.postprocess, "scores"),
            ]
        )
        return self


def _misplaced(key: str, ops: Sequence[PreprocessOp | PostprocessOp], start: Form) -> Iterator[Contradiction]:
    form = start
    for index, op in enumerate(ops):
        if form not in op.takes:
            wanted = " or ".join(_NAMES[taken] for taken in op.takes)
            loc: Loc = (key, index, "op")
            yield Contradiction(loc, f"{op.op} takes {wanted}, but gets {_NAMES[form]}")
        form = op.gives or form
