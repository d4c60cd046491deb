"""Every conversion, what it takes and what it gives. A new one is one row, and one function where it is done."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, get_args

from pydantic import BaseModel, ConfigDict

from model_repo.convert.lineage import SourceModel
from shared.errors import InvalidInput, Problem
from shared.jobs.formats import ModelFormat

ConversionName = Literal["optimized", "fp16", "int8", "int8-calibrated", "onnx", "openvino", "openvino-fp16"]

CONVERSION_NAMES: Final[tuple[str, ...]] = get_args(ConversionName)


@dataclass(frozen=True)
class Conversion:
    """From any of some formats to another, or to the same in another shape."""

    sources: tuple[ModelFormat, ...]
    target: ModelFormat
    about: str


CONVERSIONS: Final[Mapping[ConversionName, Conversion]] = {
    "optimized": Conversion(("onnx",), "onnx", "ONNX Runtime's graph optimisations, done once and for every CPU"),
    "fp16": Conversion(("onnx",), "onnx", "16-bit floating point inside, inputs and outputs as they are"),
    "int8": Conversion(("onnx",), "onnx", "8-bit weights of matrix products; activations are scaled as they come"),
    "int8-calibrated": Conversion(("onnx",), "onnx", "8-bit weights and activations, scaled by samples"),
    "onnx": Conversion(("torchscript", "savedmodel"), "onnx", "ONNX, by PyTorch's exporter or by tf2onnx"),
    "openvino": Conversion(("onnx",), "openvino", "OpenVINO's own format, weights as they are"),
    "openvino-fp16": Conversion(("onnx",), "openvino", "OpenVINO's own format, weights kept in 16 bits"),
}


class ConversionRequest(BaseModel):
    """What the converting process is told, as one JSON file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    to: ConversionName
    source: SourceModel
    card: dict[str, Any]  # of the source
    dataset: str | None = None  # None: what fits the card
    source_path: Path
    target_path: Path
    card_path: Path  # of the converted model, written by the process


def find_conversion(name: str, format_: ModelFormat) -> ConversionName:
    """The conversion of this name.

    Raises:
        InvalidInput: there is none, or it does not take this format; the message lists what is possible.
    """
    possible = [known for known, conversion in CONVERSIONS.items() if format_ in conversion.sources]
    for known in possible:
        if known == name:
            return known
    allowed = ", ".join(possible) or "none"
    problem = Problem(path="to", message=f"a {format_} model cannot be converted", found=name, allowed=allowed)
    raise InvalidInput(f"A {format_} model cannot be converted to {name!r}; possible: {allowed}", problems=[problem])
