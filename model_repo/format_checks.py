"""What each format's bytes are looked at for, before anybody may serve them: structure only, nothing is loaded."""

from collections.abc import Callable, Mapping
from typing import Any, BinaryIO, Final

from model_repo.cards import ModelCard, TensorCard, complete_card, parse_card
from model_repo.onnx_check import check_onnx
from model_repo.onnx_facts import OnnxFacts, TensorFacts
from model_repo.openvino_tar import check_openvino
from model_repo.savedmodel_tar import check_savedmodel
from model_repo.torchscript_check import check_torchscript
from shared.errors import InvalidModel, Problem
from shared.jobs.formats import ModelFormat

FormatCheck = Callable[[BinaryIO], dict[str, Any]]
"""Reads a seekable file and returns the fields of the card that its bytes decide, or raises InvalidModel.

It runs in the leader: nothing is deserialised, executed or unpacked, whatever the bytes ask for.
"""


def _onnx(file: BinaryIO) -> dict[str, Any]:
    return onnx_fields(check_onnx(file))


def onnx_fields(facts: OnnxFacts) -> dict[str, Any]:
    """The fields of a card that an ONNX file decides."""
    return {
        "inputs": tuple(map(_tensor_card, facts.inputs)),
        "outputs": tuple(map(_tensor_card, facts.outputs)),
        "opset": facts.opset,
        "weight_bytes": facts.weight_bytes,
    }


def _tensor_card(tensor: TensorFacts) -> TensorCard:
    return TensorCard.model_validate({"name": tensor.name, "datatype": tensor.datatype, "shape": tensor.shape})


def _torchscript(file: BinaryIO) -> dict[str, Any]:
    facts = check_torchscript(file)
    signature = facts.signature
    return {"inputs": signature.inputs, "outputs": signature.outputs, "weight_bytes": facts.weight_bytes}


def _savedmodel(file: BinaryIO) -> dict[str, Any]:
    """What its signature is, only something that loads it knows."""
    check_savedmodel(file)
    return {}


def _openvino(file: BinaryIO) -> dict[str, Any]:
    facts = check_openvino(file)
    return {"inputs": facts.inputs, "outputs": facts.outputs, "weight_bytes": facts.weight_bytes}


CHECKS: Final[Mapping[ModelFormat, FormatCheck]] = {
    "onnx": _onnx,
    "torchscript": _torchscript,
    "savedmodel": _savedmodel,
    "openvino": _openvino,
}


def check_model(file: BinaryIO, sent: Mapping[str, Any]) -> ModelCard:
    """The card of a model file whose bytes pass the check of the format that the card names.

    Raises:
        InvalidModel: no check for the format, the bytes are refused, or they contradict the card.
    """
    format_ = parse_card(sent).format
    if format_ not in CHECKS:
        problem = Problem(path="card.format", message="not taken", found=format_, allowed=", ".join(CHECKS))
        raise InvalidModel(f"The model is refused: {problem}", problems=[problem])
    return complete_card(sent, CHECKS[format_](file))
