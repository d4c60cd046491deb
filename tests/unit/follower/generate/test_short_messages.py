"""The built-in messages and the classifier that was taught with others of their kind."""

from collections import Counter
from typing import Any

import numpy as np
import onnx
import pytest
from onnx.reference import ReferenceEvaluator

from follower.generate.datasets.builtin import load_builtin
from follower.generate.datasets.short_messages import CLASSES, TESTED, short_messages, training_messages
from follower.generate.message_classifier import FILE, common_words, emit, teach
from follower.pipeline.text import PAD_ID
from follower.pipeline.vocabulary import PIECES, WORDS
from model_repo.packaged import load

MESSAGES_SHA256 = "3aa45aeb3b10c4690435d64105711b469c0eda710e4dfdbc4ca23a6428097c9a"


def test_the_dataset_is_the_same_on_every_machine() -> None:
    """Its texts come from numbers that numpy keeps fixed; other texts would make other scores of the same job."""
    assert load_builtin("short-messages").sha256 == MESSAGES_SHA256


def test_classes_are_equally_many_and_no_text_comes_twice() -> None:
    """So that guessing is right once in four, and one lucky answer does not count often."""
    samples = short_messages().samples
    assert len(samples) == len({sample.data for sample in samples}) == TESTED
    assert Counter(sample.label for sample in samples) == dict.fromkeys(CLASSES, TESTED // len(CLASSES))


def test_nobody_is_judged_on_what_was_taught() -> None:
    """No text of the dataset is among the training messages; each class is taught alike."""
    taught = training_messages()
    assert not {sample.data.decode() for sample in short_messages().samples} & {text for text, _ in taught}
    assert Counter(label for _, label in taught) == dict.fromkeys(CLASSES, 240)


def test_texts_are_plain_words() -> None:
    """Printable ASCII, a sentence or two."""
    for sample in short_messages().samples:
        assert sample.data.decode().isprintable()
        assert 10 <= len(sample.data) <= 160
        assert b"{" not in sample.data


def test_the_vocabulary_holds_the_common_words_of_what_is_taught() -> None:
    """And none of what is judged, unless it is among those too."""
    assert common_words() == WORDS


def test_the_packaged_file_is_what_teaching_gives() -> None:
    """Byte for byte, and the one that is pinned; so nobody has to trust it."""
    assert emit() == FILE.read_bytes()
    assert load("messages-cls")[0] == FILE


def test_weights_are_the_classes_shares() -> None:
    """In each class the pieces' shares add up to one; padding says nothing; the classes are equally likely."""
    shares, offset = teach()
    assert shares.shape == (len(PIECES), len(CLASSES))
    assert (shares[PAD_ID] == 0).all()
    assert np.exp(np.delete(shares.astype(np.float64), PAD_ID, 0)).sum(axis=0) == pytest.approx([1] * 4, abs=1e-2)
    assert offset == pytest.approx([np.log(0.25)] * 4, abs=1e-4)
    cracked, invoice = PIECES.index("cracked"), PIECES.index("invoice")
    assert CLASSES[int(shares[cracked].argmax())] == "fault"
    assert CLASSES[int(shares[invoice].argmax())] == "billing"


def test_the_network_sums_its_tokens_rows_and_the_offset() -> None:
    """By ONNX's own reference evaluator; a padded text has the same scores as a bare one."""
    shares, offset = teach()
    evaluator: Any = ReferenceEvaluator(onnx.load(FILE))
    for ids in ([5, 7], [5, 7, PAD_ID, PAD_ID]):
        (scores,) = evaluator.run(None, {"input": np.array([ids], np.int64)})
        np.testing.assert_allclose(scores, [shares[5] + shares[7] + offset], rtol=1e-6)
