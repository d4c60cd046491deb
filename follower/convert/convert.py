"""One conversion from request to card: convert, compare, write down what was done."""

from follower.convert.check import output_check
from follower.convert.onnx_tools import ONNX_TOOLS, Converted, answers
from follower.convert.samples import Samples, samples_for
from follower.convert.torch_tools import export
from model_repo.cards import ModelCard, parse_card
from model_repo.convert.conversions import CONVERSIONS, ConversionRequest, find_conversion
from model_repo.convert.lineage import Lineage, OutputCheck
from model_repo.onnx_check import check_onnx
from shared.errors import InferBenchError, InvalidModel


def convert(request: ConversionRequest) -> ModelCard:
    """Writes the converted model to ``request.target_path`` and gives its card, without what its bytes say.

    Raises:
        InvalidInput: the conversion does not take this format.
        InvalidModel: the model cannot be converted, or what came out gives other shapes or no numbers.
        NotAvailable: the engine that the conversion needs is not installed here.
    """
    card = parse_card(request.card)
    find_conversion(request.to, card.format)
    samples = samples_for(card, request.dataset)
    try:
        done, check = _converted(request, samples)
    except InferBenchError:
        raise
    except Exception as error:  # the tools raise whatever a strange model makes them stumble over
        told = f"{type(error).__name__}: {' '.join(str(error).split())}"
        raise InvalidModel(f"The model cannot be converted to {request.to}: {told}") from error
    lineage = Lineage(
        conversion=request.to, source=request.source, tool=done.tool, parameters=done.parameters, check=check
    )
    said_by_the_bytes = {"inputs": (), "outputs": (), "opset": None, "weight_bytes": None}
    return card.model_copy(update={**said_by_the_bytes, "format": CONVERSIONS[request.to].target, "lineage": lineage})


def _converted(request: ConversionRequest, samples: Samples) -> tuple[Converted, OutputCheck]:
    source, target = request.source_path, request.target_path
    if request.to == "onnx":
        done, before = export(source, target, samples.checked)
    else:
        done = ONNX_TOOLS[request.to](source, target, samples)
        before = answers(source, samples.checked)
    with target.open("rb") as file:
        check_onnx(file)  # what the leader will look at, too
    return done, output_check(samples, before, answers(target, samples.checked))
