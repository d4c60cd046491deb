"""ONNX to ONNX: optimised, in 16-bit floats, in 8-bit integers; and what an ONNX file answers."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import numpy as np
import onnx
import onnxruntime  # type: ignore[import-untyped]
from onnx import version_converter
from onnxruntime import quantization
from onnxruntime.quantization import shape_inference  # type: ignore[import-untyped]
from onnxruntime.transformers.float16 import convert_float_to_float16  # type: ignore[import-untyped]

from follower.convert.check import Outputs
from follower.convert.samples import Inputs, Samples
from model_repo.convert.conversions import ConversionName
from shared.errors import InvalidModel

Parameters = dict[str, bool | int | float | str | tuple[str, ...]]

_QUIET: Final = 3
_OPSET_WITH_CHANNELS: Final = 13
"""The first whose DequantizeLinear knows a scale for each channel."""

_RAISED_TO: Final = 17
_DYNAMIC: Final = ("MatMul", "Gemm", "LSTM")
"""What pays without calibration: ONNX Runtime has no fast 8-bit convolution with scales that come at run time."""

_CALIBRATED: Final = ("Conv", "MatMul", "Gemm")
"""Norms and activations stay in floats: quantised too, they cost the packaged recogniser all its accuracy."""


@dataclass(frozen=True)
class Converted:
    """What was done."""

    tool: str
    parameters: Parameters


def optimized(source: Path, target: Path, _samples: Samples) -> Converted:
    """Graph optimisations that hold on every CPU; those for this machine's layout are left to the server."""
    options = _options()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.optimized_model_filepath = str(target)
    onnxruntime.InferenceSession(str(source), options, providers=["CPUExecutionProvider"])
    return Converted(_tool(), {"level": "extended"})


def fp16(source: Path, target: Path, _samples: Samples) -> Converted:
    """Weights and arithmetic in 16 bits; where an operator has no such kernel, the runtime converts around it."""
    model = convert_float_to_float16(onnx.load(source), keep_io_types=True)
    onnx.save(model, target)
    return Converted(_tool(), {"keep_io_types": True})


def int8(source: Path, target: Path, _samples: Samples) -> Converted:
    """Dynamic quantisation."""
    with _prepared(source) as prepared:
        quantization.quantize_dynamic(
            prepared, target, op_types_to_quantize=list(_DYNAMIC), weight_type=quantization.QuantType.QInt8
        )
    return Converted(_tool(), {"operators": _DYNAMIC, "weights": "int8"})


def int8_calibrated(source: Path, target: Path, samples: Samples) -> Converted:
    """Static quantisation: scales from the smallest and largest values that the calibration samples cause."""
    with _prepared(source) as prepared:
        quantization.quantize_static(
            prepared,
            target,
            _Reader(samples.calibration),
            quant_format=quantization.QuantFormat.QDQ,
            op_types_to_quantize=list(_CALIBRATED),
            per_channel=True,
            calibrate_method=quantization.CalibrationMethod.MinMax,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
        )
    told: Parameters = {"operators": _CALIBRATED, "weights": "int8, per channel", "activations": "uint8"}
    calibrated: Parameters = {"method": "min-max", "dataset": samples.name, "samples": len(samples.calibration)}
    return Converted(_tool(), told | calibrated)


ONNX_TOOLS: Final[Mapping[ConversionName, Callable[[Path, Path, Samples], Converted]]] = {
    "optimized": optimized,
    "fp16": fp16,
    "int8": int8,
    "int8-calibrated": int8_calibrated,
}


def answers(model: Path, inputs: Sequence[Inputs]) -> list[Outputs]:
    """What ONNX Runtime gives for each sample.

    Raises:
        InvalidModel: it does not load or does not run.
    """
    try:
        session = onnxruntime.InferenceSession(str(model), _options(), providers=["CPUExecutionProvider"])
        return [[np.asarray(output) for output in session.run(None, dict(each))] for each in inputs]
    except Exception as error:  # the runtime's errors have no common root
        raise InvalidModel(f"ONNX Runtime cannot run {model.name}: {' '.join(str(error).split())}") from error


class _Reader(quantization.CalibrationDataReader):  # type: ignore[misc]
    """Hands out the calibration samples, once."""

    def __init__(self, inputs: Sequence[Inputs]) -> None:
        self._left: Iterator[Inputs] = iter(inputs)

    def get_next(self) -> dict[str, Any] | None:
        inputs = next(self._left, None)
        return None if inputs is None else dict(inputs)


class _prepared:  # noqa: N801 - reads as what it gives
    """Weights as initializers, operators fused, opset new enough: what the quantiser needs and says nothing of."""

    def __init__(self, source: Path) -> None:
        self._source = source
        self._folder = TemporaryDirectory()

    def __enter__(self) -> Path:
        logging.getLogger().setLevel(logging.ERROR)  # the quantiser recommends what is being done
        folder = Path(self._folder.name)
        model = onnx.load(self._source)
        if next(each.version for each in model.opset_import if not each.domain) < _OPSET_WITH_CHANNELS:
            model = version_converter.convert_version(model, _RAISED_TO)
        onnx.save(model, folder / "raised.onnx")
        shape_inference.quant_pre_process(
            str(folder / "raised.onnx"), str(folder / "ready.onnx"), skip_symbolic_shape=True
        )
        return folder / "ready.onnx"

    def __exit__(self, *_failure: object) -> None:
        self._folder.cleanup()


def _options() -> Any:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _QUIET
    options.intra_op_num_threads = 1
    return options


def _tool() -> str:
    return f"onnxruntime {onnxruntime.__version__}"
