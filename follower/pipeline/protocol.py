"""What pre- and post-processing are, and how they fail."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

from shared.errors import AttemptFailed
from shared.jobs.feeding import Part
from shared.jobs.lifecycle import Cause

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Answer:
    """What one sample's output means: the best class, or the text that was read. Picklable."""

    label: str
    confidence: float  # of ``label``; a probability only where the scores are
    top: tuple[tuple[str, float], ...] = ()  # the k best classes, best first; empty for text


class PipelineFailed(AttemptFailed):
    """A sample could not be processed. A sender counts it as error kind ``pipeline`` and goes on with the next.

    Raised while a pipeline is being built, it ends the attempt, with cause ``pipeline-failed``.
    """

    def __init__(self, detail: str) -> None:
        super().__init__(Cause.PIPELINE_FAILED, detail)


Parts = Mapping[Part, Array]
"""One pre-processed sample: itself, or of a text its ids, mask and type_ids. C-contiguous, without the batch axis."""

Preprocess = Callable[[bytes], Array]
"""One sample's bytes -> the model's input for that sample, C-contiguous, without the batch axis."""

Postprocess = Callable[[Array], Answer | None]
"""One sample's output, without the batch axis -> what it means; None where the ops stop at numbers."""
