"""``python -m follower.convert.tensorflow_export REQUEST``: SavedModel to ONNX, where TensorFlow and tf2onnx are.

``REQUEST`` is a file with a ``TensorflowExport``. Only the signature says what the model takes, so the samples are made
here; they are the same wherever they are made.
"""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import onnx
import tensorflow as tf  # type: ignore[import-untyped]
from tf2onnx import convert  # type: ignore[import-not-found]

from follower.convert.sample_files import write_outputs
from follower.convert.samples import Inputs, samples_for
from follower.convert.tensorflow_tools import Signature, TensorflowExport
from follower.serve.tensorflow.datatypes import DATATYPE_OF, SIGNATURE
from model_repo.cards import TensorCard, parse_card
from shared.errors import InferBenchError, InvalidModel

OPSET: Final = 17


def main(arguments: Sequence[str]) -> None:
    """Writes the ONNX file, the signature and the model's own answers.

    Raises:
        InvalidModel: it has not the signature that is served, or uses what has no form in ONNX.
    """
    (path,) = arguments
    request = TensorflowExport.model_validate_json(Path(path).read_bytes())
    loaded = tf.saved_model.load(str(request.source))
    if SIGNATURE not in loaded.signatures:
        found = ", ".join(sorted(loaded.signatures)) or "none"
        raise InvalidModel(f"it has no signature {SIGNATURE!r}; its signatures: {found}")
    served = loaded.signatures[SIGNATURE]
    inputs = _cards(served.structured_input_signature[1])
    _convert(request.source, request.target)
    outputs = _outputs(request.target)
    card = parse_card(request.card).model_copy(update={"inputs": inputs})
    checked = samples_for(card, request.dataset).checked
    write_outputs(request.answers, [_answers(served, sample, outputs) for sample in checked])
    request.signature.write_text(Signature(inputs=inputs).model_dump_json(), encoding="utf-8")


def _convert(source: Path, target: Path) -> None:
    """By tf2onnx's command line, which is its only interface to a SavedModel. It lets what it cannot convert stand."""
    asked = ["--saved-model", source, "--signature_def", SIGNATURE, "--tag", "serve", "--output", target]
    sys.argv = ["tf2onnx", *map(str, asked), "--opset", str(OPSET)]
    convert.main()
    nodes = onnx.load(target).graph.node
    unknown = sorted({node.op_type for node in nodes if not onnx.defs.has(node.op_type, node.domain)})
    if unknown:
        raise InvalidModel(f"it uses operators that tf2onnx cannot write as ONNX: {', '.join(unknown)}")


def _outputs(target: Path) -> list[str]:
    return [each.name for each in onnx.load(target).graph.output]


def _cards(specs: Mapping[str, Any]) -> tuple[TensorCard, ...]:
    return tuple(_card(name, spec) for name, spec in sorted(specs.items()))


def _card(name: str, spec: Any) -> TensorCard:
    if spec.shape.rank is None or spec.dtype.as_datatype_enum not in DATATYPE_OF:
        raise InvalidModel(f"no samples can be made for input {name!r}: {spec.dtype.name}, shape {spec.shape}")
    shape = [-1 if size is None else size for size in spec.shape.as_list()]
    return TensorCard.model_validate(
        {"name": name, "datatype": DATATYPE_OF[spec.dtype.as_datatype_enum], "shape": shape}
    )


def _answers(served: Any, sample: Inputs, outputs: Sequence[str]) -> list[Any]:
    found = served(**{name: tf.constant(array) for name, array in sample.items()})
    return [found[name].numpy() for name in outputs]


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except InferBenchError as error:
        sys.exit(" ".join(error.detail.split()))
    except Exception as error:  # noqa: BLE001 - a broken file makes anything of the loader and of the exporter
        sys.exit(" ".join(f"{type(error).__name__}: {error}".split()))
