"""Which input of a model gets which part of a sample, and what is said where that does not come out."""

from typing import Any, NamedTuple

import pytest
from support.assignments import run_spec

from shared.jobs.feeding import Feed, Misfit, feeds_of
from shared.jobs.keys import comparability_key
from shared.jobs.pipeline import PipelineSpec


class Tensor(NamedTuple):
    """An input as a card describes it."""

    name: str
    datatype: str = "INT64"


BERT = (Tensor("input_ids"), Tensor("attention_mask", "INT32"), Tensor("token_type_ids"))


def text(**parameters: Any) -> PipelineSpec:
    """A pipeline that tokenizes."""
    return PipelineSpec.model_validate({"preprocess": [{"op": "tokenize", **parameters}]})


@pytest.mark.parametrize(
    ("outputs", "inputs", "parts"),
    [
        (None, (Tensor("whatever"),), ["ids"]),
        (None, BERT[:2], ["ids", "mask"]),
        (None, tuple(reversed(BERT)), ["type_ids", "mask", "ids"]),
        ({"ids": "tokens", "mask": "kept"}, (Tensor("kept", "FP32"), Tensor("tokens")), ["mask", "ids"]),
        ({"ids": "input_ids"}, (Tensor("input_ids"),), ["ids"]),
        ({"ids": "a", "type_ids": "b"}, (Tensor("a"), Tensor("b", "INT32")), ["ids", "type_ids"]),
    ],
)
def test_each_input_gets_what_its_name_or_the_job_says(
    outputs: Any, inputs: tuple[Tensor, ...], parts: list[str]
) -> None:
    """In the model's order, with the model's datatypes."""
    feeds = feeds_of(text(outputs=outputs), inputs)
    assert [(feed.name, feed.datatype) for feed in feeds] == [tuple(each) for each in inputs]
    assert [feed.part for feed in feeds] == parts


def test_ops_on_pictures_feed_the_one_input_there_is() -> None:
    """Whatever it is called."""
    pictures = PipelineSpec.model_validate({"preprocess": [{"op": "decode_image"}]})
    assert feeds_of(pictures, [Tensor("x", "FP32")]) == (Feed("x", "FP32", "sample"),)
    with pytest.raises(Misfit, match="feed one input; the model takes input_ids, attention_mask"):
        feeds_of(pictures, BERT[:2])
    with pytest.raises(Misfit, match="the model takes no input"):
        feeds_of(PipelineSpec(), [])


@pytest.mark.parametrize(
    ("outputs", "inputs", "where", "told"),
    [
        ({"ids": "input_id"}, BERT[:1], "ids", "the model has no input input_id; it takes input_ids"),
        ({"ids": "input_ids", "mask": "mask"}, BERT[:2], "mask", "no input mask; it takes input_ids, attention_mask"),
        ({"ids": "input_ids"}, BERT[:2], None, "nothing is said of the model's input attention_mask"),
        (None, (Tensor("tokens"), Tensor("kept")), None, "nothing is said of the model's input tokens"),
        (None, BERT[1:], None, "no input takes the ids"),
        (None, (Tensor("x", "FP32"),), None, "input x is FP32; ids of a text are INT64 or INT32"),
        (None, (Tensor("input_ids"), Tensor("attention_mask", "BYTES")), None, "attention_mask is BYTES"),
    ],
)
def test_a_model_that_is_not_fed_is_told_with_its_place(
    outputs: Any, inputs: tuple[Tensor, ...], where: str | None, told: str
) -> None:
    """The key of the job file that is wrong, and what the model takes."""
    with pytest.raises(Misfit, match=told) as caught:
        feeds_of(text(outputs=outputs), inputs)
    at = ("preprocess", 0, "outputs")
    assert caught.value.contradiction.loc == (at if where is None else (*at, where))


@pytest.mark.parametrize(
    ("outputs", "told"),
    [
        ({"mask": "m"}, "ids"),
        ({"ids": "x", "mask": "x"}, "input x takes the ids already"),
        ({"ids": "x", "mask": "y", "type_ids": "y"}, "input y takes something else already"),
        ({"ids": "a b"}, "pattern"),
    ],
)
def test_outputs_that_contradict_themselves_are_refused_with_the_job(outputs: Any, told: str) -> None:
    """Before any model is known."""
    with pytest.raises(ValueError, match=told):
        text(outputs=outputs)


def test_a_built_in_tokenizer_has_a_digest_and_the_models_own_need_not() -> None:
    """Whose bytes are the model's, which has one of its own."""
    assert text(tokenizer="model").tokenize is not None
    assert text(tokenizer="model").model_dump()["preprocess"][0]["tokenizer_sha256"] is None
    assert text(tokenizer="model", tokenizer_sha256="a" * 64).model_dump()["preprocess"][0]["tokenizer_sha256"]
    with pytest.raises(ValueError, match="is built in and has a digest"):
        text(tokenizer_sha256=None)


def test_keys_of_jobs_that_say_no_more_than_before_stay_what_they_were() -> None:
    """So that stored records still compare; what the model gets is a part of the task."""
    data = {"dataset": "short-messages"}
    before = {"op": "tokenize", "max_length": 64}
    asked: list[dict[str, Any]] = [
        before,
        {**before, "outputs": None, "special_tokens": False},
        {**before, "special_tokens": True},
        {**before, "outputs": {"ids": "x"}},
    ]
    keys = [
        comparability_key(run_spec(requests=data, pipeline={"preprocess": [each]}), "0" * 64, None) for each in asked
    ]
    assert keys[0] == keys[1] == "d7075641e7b2fcad10f80bd25bec8b7c11a19504cace5c3e54d8d65525adbd59"  # of 0.1
    assert len(set(keys)) == 3
