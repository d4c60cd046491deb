"""Ops on class scores."""

from collections.abc import Callable, Sequence

import numpy as np

from follower.pipeline.protocol import Answer, Array, PipelineFailed
from shared.jobs.pipeline import Softmax, TopK


def softmax(_op: Softmax, _labels: Sequence[str]) -> Callable[[Array], Array]:
    """Scores -> probabilities over the last axis; the largest score is taken off first, so nothing overflows."""

    def run(scores: Array) -> Array:
        if not scores.size:
            raise PipelineFailed(f"softmax got an empty output of shape {scores.shape}")
        powers = np.exp(scores - scores.max(axis=-1, keepdims=True))
        probabilities: Array = powers / powers.sum(axis=-1, keepdims=True)
        return probabilities

    return run


def top_k(op: TopK, labels: Sequence[str]) -> Callable[[Array], Answer]:
    """Scores (classes,) -> the ``k`` best, best first, ties by index; a class without a label is its index."""

    def run(scores: Array) -> Answer:
        check_classes("top_k", scores, labels, axes=1)
        check_numbers("top_k", scores)
        k = min(op.k, scores.size)
        best = np.argpartition(-scores, k - 1)[:k] if k < scores.size else np.arange(k)
        best = best[np.lexsort((best, -scores[best]))]
        top = tuple((labels[index] if labels else str(index), float(scores[index])) for index in best.tolist())
        return Answer(*top[0], top)

    return run


def check_classes(op: str, scores: Array, labels: Sequence[str], *, axes: int) -> None:
    """Refuses an output that cannot be class scores.

    Raises:
        PipelineFailed: Wrong number of axes, nothing in it, or not one score per label.
    """
    if scores.ndim != axes or not scores.size:
        raise PipelineFailed(f"{op} takes {axes} axes per sample, the model gave the shape {scores.shape}")
    if labels and len(labels) != scores.shape[-1]:
        raise PipelineFailed(f"{op} has {len(labels)} labels, the model gave {scores.shape[-1]} classes")


def check_numbers(op: str, scores: Array) -> None:
    """Refuses scores among which none is the best.

    Raises:
        PipelineFailed: One of them is not a number.
    """
    if np.isnan(scores).any():
        raise PipelineFailed(f"{op} got scores that are not numbers (NaN)")
