"""Teaches the packaged model ``messages-cls``, and writes its file: ``python -m follower.generate.message_classifier``.

It is multinomial naive Bayes (McCallum and Nigam, "A Comparison of Event Models for Naive Bayes Text Classification",
AAAI workshop 1998) as a network: an embedding of one number per class, summed over the tokens, and an offset. All there
is to learn is counts, so the weights are the same on every machine.
"""

from collections import Counter
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
from onnx import TensorProto

import model_repo
from follower.generate.datasets.short_messages import CLASSES, training_messages
from follower.pipeline.text import PAD_ID, short_messages
from follower.pipeline.vocabulary import PIECES
from model_repo.canonical.architecture import INPUT
from model_repo.canonical.graph import GraphBuilder

FILE: Final = Path(model_repo.__path__[0]) / "packaged/messages-cls.onnx"
DECIMALS: Final = 4  # of a logarithm: far more than a mathematics library may be off by
COMMON: Final = 8  # times that a word must be there to have a piece of its own

Weights = npt.NDArray[np.float32]


def common_words() -> tuple[str, ...]:
    """The words of more than a letter that the vocabulary holds whole, sorted."""
    tokenizer = short_messages()
    seen: Counter[str] = Counter()
    for text, _ in training_messages():
        words = tokenizer.pre_tokenizer.pre_tokenize_str(tokenizer.normalizer.normalize_str(text))
        seen.update(word for word, _ in words)
    return tuple(sorted(word for word, times in seen.items() if times >= COMMON and len(word) > 1))


def teach() -> tuple[Weights, Weights]:
    """Logarithms of each piece's share in each class, shape (pieces, classes), and of each class's share.

    Every piece counts as seen once more than it was (Laplace). Padding says nothing: its row is zero.
    """
    tokenizer = short_messages()
    pieces, classes = np.ones((len(PIECES), len(CLASSES))), np.zeros(len(CLASSES))
    for text, label in training_messages():
        place = CLASSES.index(label)
        classes[place] += 1
        np.add.at(pieces[:, place], tokenizer.encode(text, add_special_tokens=False).ids, 1)
    shares = np.log(pieces / pieces.sum(axis=0)).round(DECIMALS).astype(np.float32)
    shares[PAD_ID] = 0
    return shares, np.log(classes / classes.sum()).round(DECIMALS).astype(np.float32)


def emit() -> bytes:
    """The ONNX model: int64 ids (batch, tokens) -> float32 (batch, classes), the logarithms of text and class."""
    shares, offset = teach()
    graph = GraphBuilder(0)
    embedded = graph.node("Gather", graph.weight(shares), INPUT, axis=0)
    summed = graph.node("ReduceSum", embedded, graph.integers(1), keepdims=0)
    scores = graph.node("Add", summed, graph.weight(offset))
    return graph.serialise(
        "messages-cls", scores, input_shape=("tokens",), classes=len(CLASSES), input_type=TensorProto.INT64
    )


if __name__ == "__main__":
    FILE.write_bytes(emit())
