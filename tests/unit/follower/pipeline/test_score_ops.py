"""Ops on model outputs against answers worked out by hand, and against a plain CTC decoder."""

import pickle
from collections.abc import Mapping
from itertools import groupby
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from follower.pipeline.chain import POSTPROCESS, PREPROCESS, build_postprocess, ops
from follower.pipeline.protocol import Answer, Array, PipelineFailed
from shared.jobs.pipeline import PipelineSpec, PostprocessOp, PreprocessOp


def run(output: Array, *declared: Mapping[str, object], labels: tuple[str, ...] = ()) -> Answer | None:
    """The postprocessing that a job file would declare, on one sample's output."""
    return build_postprocess(PipelineSpec.model_validate({"postprocess": list(declared)}), labels)(output)


def one_hot(path: list[int], classes: int = 4, peak: float = 0.9) -> Array:
    """Scores whose best path is ``path``."""
    scores = np.full((len(path), classes), (1 - peak) / (classes - 1), np.float32)
    scores[np.arange(len(path)), path] = peak
    return scores


def test_every_op_of_the_job_file_is_in_a_table() -> None:
    """What the format knows is what a follower announces."""
    declared = [get_args(op.model_fields["op"].annotation)[0] for union in (PreprocessOp, PostprocessOp)
                for op in get_args(get_args(union)[0])]  # fmt: skip
    assert sorted(ops()) == sorted(declared) == sorted([*PREPROCESS, *POSTPROCESS])


def test_top_k_names_the_best_classes_best_first() -> None:
    """Labels by index, scores as they came."""
    answer = run(np.array([0.1, 0.6, 0.3]), {"op": "top_k", "k": 2}, labels=("cat", "dog", "cow"))
    assert answer == Answer("dog", 0.6, (("dog", 0.6), ("cow", 0.3)))


def test_classes_without_labels_are_their_index() -> None:
    """A model without labels still has an answer."""
    assert run(np.array([1.0, 3.0]), {"op": "top_k"}) == Answer("1", 3.0, (("1", 3.0),))


def test_top_k_of_fewer_classes_gives_all() -> None:
    """The number asked for may exceed the number of classes."""
    answer = run(np.array([1.0, 3.0]), {"op": "top_k", "k": 10})
    assert answer is not None
    assert [label for label, _ in answer.top] == ["1", "0"]


@given(st.lists(st.integers(-5, 5), min_size=1, max_size=30), st.integers(1, 12))
@settings(deadline=None)
def test_top_k_agrees_with_sorting(scores: list[int], k: int) -> None:
    """The scores that come out are the k largest, and each belongs to its class."""
    answer = run(np.array(scores, np.float32), {"op": "top_k", "k": k})
    assert answer is not None
    assert [score for _, score in answer.top] == sorted(scores, reverse=True)[:k]
    assert all(scores[int(label)] == score for label, score in answer.top)


def test_softmax_turns_scores_into_probabilities() -> None:
    """e^1 / (e^1 + e^2 + e^3) and so on, and no overflow at scores of a thousand."""
    answer = run(np.array([1.0, 2.0, 3.0]), {"op": "softmax"}, {"op": "top_k", "k": 3})
    assert answer is not None
    powers = np.exp([3.0, 2.0, 1.0])
    np.testing.assert_allclose([score for _, score in answer.top], powers / powers.sum())
    large = run(np.array([1000.0, 1000.0]), {"op": "softmax"}, {"op": "top_k"})
    assert large is not None
    assert large.confidence == 0.5


def test_ops_that_stop_at_numbers_have_no_answer() -> None:
    """Softmax alone says nothing about a class; no op says nothing at all."""
    assert run(np.array([1.0, 2.0]), {"op": "softmax"}) is None
    assert run(np.array([1.0, 2.0])) is None


def test_ctc_merges_repeats_and_drops_blanks() -> None:
    """The path a a blank a b b reads "aab"."""
    answer = run(one_hot([1, 1, 0, 1, 2, 2]), {"op": "ctc_decode"}, labels=("", "a", "b", "c"))
    assert answer is not None
    assert answer.label == "aab"
    assert answer.confidence == pytest.approx(0.9)


def test_ctc_confidence_counts_the_steps_that_gave_a_character() -> None:
    """Blanks and repeats do not count, however sure."""
    scores = np.array([[0.9, 0.1], [0.4, 0.6], [0.1, 0.9], [0.8, 0.2]], np.float32)
    answer = run(scores, {"op": "ctc_decode"}, labels=("", "a"))
    assert answer is not None
    assert answer.label == "a"
    assert answer.confidence == pytest.approx(0.6)


def test_ctc_of_blanks_only_is_an_empty_text() -> None:
    """Nothing read, no confidence."""
    assert run(one_hot([0, 0]), {"op": "ctc_decode"}, labels=("", "a", "b", "c")) == Answer("", 0.0)


@given(st.lists(st.integers(0, 3), min_size=1, max_size=40))
@settings(deadline=None)
def test_ctc_agrees_with_the_definition(path: list[int]) -> None:
    """Merge equal neighbours, then remove blanks (Graves 2006, section 3.1)."""
    labels = ("", "x", "y", "z")
    answer = run(one_hot(path), {"op": "ctc_decode"}, labels=labels)
    assert answer is not None
    assert answer.label == "".join(labels[index] for index, _ in groupby(path) if index)


@pytest.mark.parametrize(
    ("output", "op", "labels", "message"),
    [
        (np.zeros((2, 3)), "top_k", (), "takes 1 axes"),
        (np.zeros(0), "top_k", (), "takes 1 axes"),
        (np.zeros(3), "top_k", ("a", "b"), "2 labels, the model gave 3 classes"),
        (np.array([1.0, np.nan]), "top_k", (), "NaN"),
        (np.zeros(3), "ctc_decode", ("", "a", "b"), "takes 2 axes"),
        (np.zeros((2, 4)), "ctc_decode", ("", "a", "b"), "3 labels, the model gave 4 classes"),
        (np.full((2, 2), np.nan), "ctc_decode", ("", "a"), "NaN"),
        (np.zeros((0, 3)), "softmax", (), "empty output"),
    ],
)
def test_outputs_that_do_not_fit_fail_the_sample(output: Array, op: str, labels: tuple[str, ...], message: str) -> None:
    """Wrong axes, wrong number of classes and NaN are told apart."""
    with pytest.raises(PipelineFailed, match=message):
        run(output, {"op": op}, labels=labels)


def test_ctc_without_labels_cannot_be_built() -> None:
    """It is known before the first request that there is nothing to read with."""
    with pytest.raises(PipelineFailed, match="blank first"):
        build_postprocess(PipelineSpec.model_validate({"postprocess": [{"op": "ctc_decode"}]}))


def test_answers_and_failures_cross_process_borders() -> None:
    """Senders are processes of their own."""
    answer = Answer("a", 0.5, (("a", 0.5),))
    assert pickle.loads(pickle.dumps(answer)) == answer  # noqa: S301 - our own bytes
    failure = pickle.loads(pickle.dumps(PipelineFailed("why")))  # noqa: S301 - our own bytes
    assert (type(failure), failure.detail) == (PipelineFailed, "why")
