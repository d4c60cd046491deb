"""Teaches the packaged classifiers of messages, and writes them: ``python -m follower.generate.message_classifier``.

``messages-cls`` is multinomial naive Bayes (McCallum and Nigam, "A Comparison of Event Models for Naive Bayes Text
Classification", AAAI workshop 1998) as a network: an embedding of one number per class, summed over the tokens, and an
offset. All there is to learn is counts, so the weights are the same on every machine.

``messages-masked`` has the same counts and the inputs of BERT-like models: it takes the mean over the tokens that the
mask leaves, so that padding, which has a row like any other piece, says nothing only where the mask says so.
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

FOLDER: Final = Path(model_repo.__path__[0]) / "packaged"
FILE: Final = FOLDER / "messages-cls.onnx"
MASKED_FILE: Final = FOLDER / "messages-masked.onnx"
IDS: Final = "input_ids"
MASK: Final = "attention_mask"
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


def count() -> tuple[Weights, Weights]:
    """Logarithms of each piece's share in each class, shape (pieces, classes), and of each class's share.

    Every piece counts as seen once more than it was (Laplace), also padding, which never was.
    """
    tokenizer = short_messages()
    pieces, classes = np.ones((len(PIECES), len(CLASSES))), np.zeros(len(CLASSES))
    for text, label in training_messages():
        place = CLASSES.index(label)
        classes[place] += 1
        np.add.at(pieces[:, place], tokenizer.encode(text, add_special_tokens=False).ids, 1)
    shares = np.log(pieces / pieces.sum(axis=0)).round(DECIMALS).astype(np.float32)
    return shares, np.log(classes / classes.sum()).round(DECIMALS).astype(np.float32)


def teach() -> tuple[Weights, Weights]:
    """The same for a model without a mask: padding says nothing, its row is zero."""
    shares, offset = count()
    shares[PAD_ID] = 0
    return shares, offset


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


def emit_masked() -> bytes:
    """The ONNX model: int64 ids and mask (batch, tokens) -> float32 (batch, classes), a mean and the class's offset.

    The mean over the tokens whose mask is 1, as sentence encoders pool (Reimers and Gurevych, "Sentence-BERT", EMNLP
    2019, section 3). A mask of zeros alone gives the offset.
    """
    shares, offset = count()
    graph = GraphBuilder(0)
    embedded = graph.node("Gather", graph.weight(shares), IDS, axis=0)
    mask = graph.node("Cast", MASK, to=TensorProto.FLOAT)
    kept = graph.node("Mul", embedded, graph.node("Unsqueeze", mask, graph.integers(-1)))
    summed = graph.node("ReduceSum", kept, graph.integers(1), keepdims=0)
    tokens = graph.node("Max", graph.node("ReduceSum", mask, graph.integers(1), keepdims=1), graph.number(1.0))
    scores = graph.node("Add", graph.node("Div", summed, tokens), graph.weight(offset))
    return graph.serialise(
        "messages-masked",
        scores,
        input_shape=("tokens",),
        classes=len(CLASSES),
        input_type=TensorProto.INT64,
        inputs=(IDS, MASK),
    )


if __name__ == "__main__":
    FILE.write_bytes(emit())
    MASKED_FILE.write_bytes(emit_masked())
