"""The built-in messages and the classifier that was taught with others of their kind."""

from collections import Counter
from typing import Any

import numpy as np
import onnx
import onnxruntime  # type: ignore[import-untyped]
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx.reference import ReferenceEvaluator

from follower.generate.datasets.builtin import load_builtin
from follower.generate.datasets.short_messages import CLASSES, TESTED, short_messages, training_messages
from follower.generate.message_classifier import (
    FILE,
    MASKED_FILE,
    common_words,
    count,
    emit,
    emit_masked,
    teach,
)
from follower.pipeline.chain import build_parts, inputs_of
from follower.pipeline.text import PAD_ID
from follower.pipeline.vocabulary import PIECES, WORDS
from model_repo.packaged import load
from shared.jobs.feeding import Feed, feeds_of
from shared.jobs.pipeline import PipelineSpec

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


def test_the_packaged_file_with_a_mask_is_what_teaching_gives() -> None:
    """Its card has the inputs of BERT-like models, and the job's op feeds both."""
    assert emit_masked() == MASKED_FILE.read_bytes()
    path, card = load("messages-masked")
    assert path == MASKED_FILE
    assert [(each.name, each.datatype) for each in card.inputs] == [("input_ids", "INT64"), ("attention_mask", "INT64")]
    assert [feed.part for feed in feeds_of(PipelineSpec(preprocess=card.preprocess), card.inputs)] == ["ids", "mask"]


def masked_scores(ids: Any, mask: Any) -> Any:
    """By ONNX Runtime, of one text."""
    session = onnxruntime.InferenceSession(MASKED_FILE)
    feeds = {"input_ids": np.array([ids], np.int64), "attention_mask": np.array([mask], np.int64)}
    return session.run(None, feeds)[0][0]


def test_the_masked_network_takes_the_mean_of_what_the_mask_leaves() -> None:
    """Worked out from the counts; also where nothing is left."""
    shares, offset = count()
    np.testing.assert_allclose(masked_scores([5, 7, 9], [1, 1, 0]), (shares[5] + shares[7]) / 2 + offset, rtol=1e-6)
    np.testing.assert_allclose(masked_scores([5], [0]), offset, rtol=1e-6)
    assert shares[PAD_ID].any()  # without a mask padding would say something


@given(ids=st.lists(st.integers(1, len(PIECES) - 1), min_size=1, max_size=20), filling=st.integers(0, 40))
@settings(deadline=None, max_examples=50)
def test_padding_does_not_change_what_the_masked_network_answers(ids: list[int], filling: int) -> None:
    """However much of it, and whatever id it has: a law of every model with a mask."""
    mask = [1] * len(ids) + [0] * filling
    bare = masked_scores(ids, [1] * len(ids))
    np.testing.assert_allclose(masked_scores([*ids, *[PAD_ID] * filling], mask), bare, rtol=1e-5)
    np.testing.assert_allclose(masked_scores([*ids, *[7] * filling], mask), bare, rtol=1e-5)


@pytest.mark.parametrize("max_length", [48, 128])
def test_the_masked_classifier_is_right_as_often_at_any_length_and_only_by_its_mask(max_length: int) -> None:
    """273 of 320 in batches of 32; were the mask ignored, longer rows would be answered worse."""
    spec = PipelineSpec.model_validate({"preprocess": [{"op": "tokenize", "max_length": max_length}]})
    preprocess, samples = build_parts(spec), short_messages().samples
    session = onnxruntime.InferenceSession(MASKED_FILE)
    right = {"as it is": 0, "ignored": 0}
    for first in range(0, len(samples), 32):
        texts = samples[first : first + 32]
        feeds = [Feed("input_ids", "INT64", "ids"), Feed("attention_mask", "INT64", "mask")]
        tensors = inputs_of(spec, feeds, [preprocess(sample.data) for sample in texts])
        for way, mask in (("as it is", tensors["attention_mask"]), ("ignored", np.ones_like(tensors["input_ids"]))):
            (scores,) = session.run(None, {**tensors, "attention_mask": mask})
            answers = [CLASSES[place] for place in scores.argmax(axis=1)]
            right[way] += sum(answer == text.label for answer, text in zip(answers, texts, strict=True))
    assert right["as it is"] == 273
    assert right["ignored"] < 265


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
