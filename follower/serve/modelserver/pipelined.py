"""What follower and server agree on where the server does the pipeline: names, tensors, and the file that tells it.

The pipelined model stands beside the plain one, under a name of its own, as an ensemble would: it takes raw samples and
answers what they mean, or the model's own output where the ops stop at numbers.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

from follower.pipeline.protocol import Answer
from shared.jobs.pipeline import PipelineSpec

RAW_INPUT: Final = "raw"
"""BYTES of shape (samples,): each sample as it lies in the dataset."""

LABEL: Final = "label"
CONFIDENCE: Final = "confidence"
TOP_LABELS: Final = "top_labels"
TOP_SCORES: Final = "top_scores"

PIPELINE_FILE: Final = "pipeline.json"


def pipelined(model_name: str) -> str:
    """The name under which the pipelined model is asked."""
    return f"{model_name}.pipeline"


class PipelineOrder(BaseModel):
    """The pipeline as the server finds it on disk."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    pipeline: PipelineSpec
    labels: tuple[str, ...] = ()
    tokenizer: str | None = None  # the model's own tokenizer.json, where the ops ask for it

    def leave(self, path: Path) -> None:
        """For the server, before it is started."""
        path.write_text(self.model_dump_json())


def tensors_of(answers: Sequence[Answer]) -> dict[str, npt.NDArray[Any]]:
    """Answers as output tensors: labels and confidences of shape (samples,), the best classes of (samples, k)."""
    tensors: dict[str, npt.NDArray[Any]] = {
        LABEL: np.array([answer.label for answer in answers], dtype=object),
        CONFIDENCE: np.array([answer.confidence for answer in answers], np.float64),
    }
    if all(answer.top for answer in answers):
        tensors[TOP_LABELS] = np.array([[label for label, _ in answer.top] for answer in answers], dtype=object)
        tensors[TOP_SCORES] = np.array([[score for _, score in answer.top] for answer in answers], np.float64)
    return tensors


def answers_of(tensors: Mapping[str, npt.NDArray[Any]]) -> tuple[Answer, ...]:
    """What ``tensors_of`` was given, to the last bit.

    Raises:
        KeyError, ValueError, UnicodeDecodeError: these are no answers.
    """
    labels, confidences = tensors[LABEL], tensors[CONFIDENCE]
    best: list[tuple[tuple[str, float], ...]] = [()] * len(labels)
    if TOP_LABELS in tensors:
        rows = zip(tensors[TOP_LABELS], tensors[TOP_SCORES], strict=True)
        best = [tuple((_text(name), float(score)) for name, score in zip(*row, strict=True)) for row in rows]
    return tuple(
        Answer(_text(label), float(confidence), top)
        for label, confidence, top in zip(labels, confidences, best, strict=True)
    )


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
