"""Cards: what a user may say of a model, and what the bytes say."""

import pytest
from support.onnx_models import file_of, model

from model_repo.cards import ModelCard, TensorCard, complete_card, parse_card
from model_repo.format_checks import onnx_fields
from model_repo.onnx_check import check_onnx
from model_repo.onnx_facts import OnnxFacts
from shared.errors import InvalidModel


@pytest.fixture
def facts() -> OnnxFacts:
    """Facts of the small model: x [N, 2] -> y [N, 3]."""
    return check_onnx(file_of(model()))


def test_an_empty_card_is_completed_from_the_file(facts: OnnxFacts) -> None:
    """A user need not copy out what the file says."""
    card = complete_card({"task": "demo"}, onnx_fields(facts))
    assert card.task == "demo"
    assert card.inputs == (TensorCard(name="x", datatype="FP32", shape=(-1, 2)),)
    assert (card.opset, card.weight_bytes) == (17, 24)
    assert card.parameters is None
    assert card.flops_per_sample is None


def test_a_card_that_contradicts_the_file_is_refused(facts: OnnxFacts) -> None:
    """Every contradiction is named with both values."""
    with pytest.raises(InvalidModel) as caught:
        complete_card({"opset": 11, "weight_bytes": 25}, onnx_fields(facts))
    assert {problem.path for problem in caught.value.problems} == {"card.opset", "card.weight_bytes"}
    assert caught.value.problems[0].found == "11"
    assert caught.value.problems[0].allowed == "17"


def test_a_card_that_agrees_with_the_file_is_accepted(facts: OnnxFacts) -> None:
    """Completing a complete card changes nothing."""
    card = complete_card({}, onnx_fields(facts))
    assert complete_card(card.model_dump(mode="json"), onnx_fields(facts)) == card


def test_unknown_keys_and_values_are_named() -> None:
    """A misspelt key and a datatype that no server knows are both told, with their paths."""
    sent = {"lables": ["a"], "inputs": [{"name": "x", "datatype": "FLOAT", "shape": [-2]}]}
    with pytest.raises(InvalidModel) as caught:
        parse_card(sent)
    paths = {problem.path for problem in caught.value.problems}
    assert paths == {"card.lables", "card.inputs.0.datatype", "card.inputs.0.shape.0"}


def test_cards_survive_json_with_their_pipeline_hints() -> None:
    """What goes over the wire comes back equal."""
    card = parse_card({
        "preprocess": [{"op": "decode_image"}, {"op": "resize", "size": [48, 320], "keep_aspect": True}],
        "postprocess": [{"op": "ctc_decode"}],
        "labels": ["", "a"],
    })  # fmt: skip
    assert ModelCard.model_validate_json(card.model_dump_json()) == card
    assert parse_card(card.model_dump(mode="json")) == card
