"""What 16 and 8 bits do to the packaged models: size, speed, output error, accuracy."""

import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from statistics import median
from typing import Final

import onnxruntime  # type: ignore[import-untyped]

from benchmarks.figure import Figure
from benchmarks.rounds import interleaved, ratio
from follower.convert.samples import Inputs, samples_for
from model_repo.cards import ModelCard, parse_card
from model_repo.convert.child import run_conversion
from model_repo.convert.conversions import ConversionName, ConversionRequest
from model_repo.convert.lineage import OutputCheck, SourceModel
from model_repo.packaged import load
from shared.errors import NotFound

MODELS: Final = ("ppocr-cls", "ppocr-rec")
CONVERSIONS: Final[tuple[ConversionName, ...]] = ("fp16", "int8", "int8-calibrated")
ROUNDS: Final = 7
SAMPLES: Final = 8


def conversion() -> Iterable[Figure]:
    """Size over the source's, with speed, error and accuracy beside it; the sizes' target is only not to grow.

    Speed is inferences/s over the source's in this process, one thread, one picture at a time, median of interleaved
    rounds over the same pictures. Bias: accuracy is of 24 pictures, so one picture is four percentage points.
    """
    for name in MODELS:
        try:
            path, card = load(name)
        except NotFound as error:
            yield Figure(name=f"conversion of {name}", measured=None, unit="", high=1, detail=error.detail)
            continue
        for to in CONVERSIONS:
            with tempfile.TemporaryDirectory() as folder:
                yield _figure(name, path, card, to, Path(folder))


def _figure(name: str, path: Path, card: ModelCard, to: ConversionName, folder: Path) -> Figure:
    request = ConversionRequest(
        to=to,
        source=SourceModel(name=name, version=1, sha256=""),
        card=card.model_dump(mode="json"),
        source_path=path,
        target_path=folder / "target.onnx",
        card_path=folder / "card.json",
    )
    lineage = parse_card(run_conversion(request, folder)).lineage
    if lineage is None:
        raise ValueError(f"{to} of {name} has no lineage")
    inputs = samples_for(card, None).checked[:SAMPLES]
    contenders = {"source": _seconds(path, inputs), "converted": _seconds(request.target_path, inputs)}
    speed = ratio(interleaved(contenders, ROUNDS), "source", "converted")
    return Figure(
        name=f"{to} of {name}: size / source's",
        measured=request.target_path.stat().st_size / path.stat().st_size,
        unit="",
        high=1,
        detail=f"speed x {speed:.2f}; {_told(lineage.check)}",
    )


def _seconds(model: Path, inputs: Iterable[Inputs]) -> Callable[[], float]:
    """Median seconds of an inference over these inputs."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])

    def once(each: Inputs) -> float:
        began = time.perf_counter()
        session.run(None, dict(each))
        return time.perf_counter() - began

    return lambda: median(once(each) for each in inputs)


def _told(check: OutputCheck) -> str:
    error = f"max abs error {check.max_abs_error:.2g} of outputs"
    if check.accuracy_before is None or check.accuracy_after is None:
        return error
    return f"{error}; accuracy {check.accuracy_before:.1%} -> {check.accuracy_after:.1%} of {check.samples} samples"
