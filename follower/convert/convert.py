"""One conversion from request to card: convert, compare, write down what was done."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from follower.convert import openvino_tools, tensorflow_tools, torch_tools
from follower.convert.check import Outputs, output_check
from follower.convert.onnx_tools import ONNX_TOOLS, Converted, answers
from follower.convert.samples import Samples, samples_for
from model_repo.cards import ModelCard, parse_card
from model_repo.convert.conversions import CONVERSIONS, ConversionRequest, find_conversion
from model_repo.convert.lineage import Lineage
from model_repo.format_checks import CHECKS
from shared.errors import InferBenchError, InvalidModel
from shared.jobs.formats import ModelFormat


@dataclass(frozen=True)
class Outcome:
    """What was done, and what source and result answer to the checked samples."""

    done: Converted
    samples: Samples
    before: Sequence[Outputs]
    after: Sequence[Outputs]


Route = Callable[[ConversionRequest, ModelCard], Outcome]
"""Writes the target's file."""


def convert(request: ConversionRequest) -> ModelCard:
    """Writes the converted model to ``request.target_path`` and gives its card, without what its bytes say.

    Raises:
        InvalidInput: the conversion does not take this format.
        InvalidModel: the model cannot be converted, or what came out gives other shapes or no numbers.
        NotAvailable: the engine that the conversion needs is not installed here.
    """
    card = parse_card(request.card)
    target = CONVERSIONS[find_conversion(request.to, card.format)].target
    try:
        outcome = ROUTES[card.format, target](request, card)
        with request.target_path.open("rb") as file:
            CHECKS[target](file)  # what the leader will look at, too
        check = output_check(outcome.samples, outcome.before, outcome.after)
    except InferBenchError:
        raise
    except Exception as error:  # the tools raise whatever a strange model makes them stumble over
        told = f"{type(error).__name__}: {' '.join(str(error).split())}"
        raise InvalidModel(f"The model cannot be converted to {request.to}: {told}") from error
    done = outcome.done
    lineage = Lineage(
        conversion=request.to, source=request.source, tool=done.tool, parameters=done.parameters, check=check
    )
    said_by_the_bytes = {"inputs": (), "outputs": (), "opset": None, "weight_bytes": None}
    return card.model_copy(update={**said_by_the_bytes, "format": target, "lineage": lineage})


def _onnx_to_onnx(request: ConversionRequest, card: ModelCard) -> Outcome:
    samples = samples_for(card, request.dataset)
    done = ONNX_TOOLS[request.to](request.source_path, request.target_path, samples)
    before, after = (answers(path, samples.checked) for path in (request.source_path, request.target_path))
    return Outcome(done, samples, before, after)


def _onnx_to_openvino(request: ConversionRequest, card: ModelCard) -> Outcome:
    samples = samples_for(card, request.dataset)
    before = answers(request.source_path, samples.checked)
    done, after = openvino_tools.export(request.source_path, request.target_path, request.to, samples.checked)
    return Outcome(done, samples, before, after)


def _torchscript_to_onnx(request: ConversionRequest, card: ModelCard) -> Outcome:
    samples = samples_for(card, request.dataset)
    done, before = torch_tools.export(request.source_path, request.target_path, samples.checked)
    return Outcome(done, samples, before, answers(request.target_path, samples.checked))


def _savedmodel_to_onnx(request: ConversionRequest, card: ModelCard) -> Outcome:
    done, samples, before = tensorflow_tools.export(request.source_path, request.target_path, card, request.dataset)
    return Outcome(done, samples, before, answers(request.target_path, samples.checked))


ROUTES: Final[Mapping[tuple[ModelFormat, ModelFormat], Route]] = {
    ("onnx", "onnx"): _onnx_to_onnx,
    ("onnx", "openvino"): _onnx_to_openvino,
    ("torchscript", "onnx"): _torchscript_to_onnx,
    ("savedmodel", "onnx"): _savedmodel_to_onnx,
}
"""Formats of source and target -> how; ``CONVERSIONS`` has no other pair."""
