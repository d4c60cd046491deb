"""Connectionist temporal classification: scores per step -> text.

Source: Graves et al., "Connectionist Temporal Classification", ICML 2006, section 3.2 (best path decoding).
"""

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np

from follower.pipeline.protocol import Answer, Array, PipelineFailed
from follower.pipeline.scores import check_classes, check_numbers
from shared.jobs.pipeline import CtcDecode

BLANK: Final = 0
"""The class that stands for "no character", as in PP-OCR's models."""


def ctc_decode(_op: CtcDecode, labels: Sequence[str]) -> Callable[[Array], Answer]:
    """Scores (steps, classes) -> the best path's text, repeats merged, then blanks dropped.

    The confidence is the mean score of the steps that gave a character, as PP-OCR reports it; 0 for an empty text.

    Raises:
        PipelineFailed: The model's card has no labels.
    """
    if not labels:
        raise PipelineFailed("ctc_decode needs the model card's labels, blank first, and the card has none")

    def run(scores: Array) -> Answer:
        check_classes("ctc_decode", scores, labels, axes=2)
        path = scores.argmax(axis=1)
        kept = path != BLANK
        kept[1:] &= path[1:] != path[:-1]
        best = scores[np.arange(path.size), path]
        check_numbers("ctc_decode", best)  # the best of a step with a NaN is that NaN
        text = "".join([labels[index] for index in path[kept].tolist()])
        return Answer(text, float(best[kept].mean()) if kept.any() else 0.0)

    return run
