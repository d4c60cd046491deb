"""ONNX to OpenVINO's own format, by a process that has OpenVINO."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from follower.convert.check import Outputs
from follower.convert.engine_process import EngineProgram
from follower.convert.onnx_tools import Converted
from follower.convert.sample_files import read_outputs, write_inputs
from follower.convert.samples import Inputs
from model_repo.convert.conversions import ConversionName
from model_repo.openvino_tar import pack

WEIGHTS: Final[Mapping[ConversionName, str]] = {"openvino": "as-stored", "openvino-fp16": "fp16"}

_EXPORT: Final = EngineProgram(
    engine="openvino",
    engine_name="OpenVINO",
    module="follower.convert.openvino_export",
    task="convert this model",
    environment={},
)


def export(source: Path, target: Path, to: ConversionName, inputs: Sequence[Inputs]) -> tuple[Converted, list[Outputs]]:
    """Writes the archive; also gives what the new model answers to ``inputs``.

    Raises:
        NotAvailable: OpenVINO is not installed here.
        InvalidModel: it cannot read the model, with its words.
    """
    version = _EXPORT.require()
    with TemporaryDirectory() as name:
        folder, given, got = (Path(name) / each for each in ("model", "inputs.npz", "outputs.npz"))
        folder.mkdir()
        write_inputs(given, inputs)
        _EXPORT.run([source, folder, WEIGHTS[to], given, got], Path(name))
        pack(folder, target)
        return Converted(f"openvino {version}", {"weights": WEIGHTS[to], "checked_in": "f32"}), read_outputs(got)
