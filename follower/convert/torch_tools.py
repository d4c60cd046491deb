"""TorchScript to ONNX, by a process that has PyTorch."""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from follower.convert.check import Outputs
from follower.convert.engine_process import EngineProgram
from follower.convert.onnx_tools import Converted
from follower.convert.sample_files import read_outputs, write_inputs
from follower.convert.samples import Inputs

_EXPORT: Final = EngineProgram(
    engine="torch",
    engine_name="PyTorch",
    module="follower.convert.torch_export",
    task="export this program",
    environment={"OMP_NUM_THREADS": "1"},
)


def export(source: Path, target: Path, inputs: Sequence[Inputs]) -> tuple[Converted, list[Outputs]]:
    """Writes the ONNX file; also gives the program's own answers to ``inputs``.

    Raises:
        NotAvailable: PyTorch is not installed here.
        InvalidModel: the program cannot be exported, with PyTorch's last words.
    """
    version = _EXPORT.require()
    with TemporaryDirectory() as name:
        given, got = Path(name) / "inputs.npz", Path(name) / "outputs.npz"
        write_inputs(given, inputs)
        _EXPORT.run([source, target, given, got], Path(name))
        return Converted(f"torch {version}", {"exporter": "torch.onnx.export, TorchScript"}), read_outputs(got)
