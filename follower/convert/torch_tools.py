"""TorchScript to ONNX, by a process that has PyTorch."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import numpy as np

from follower.convert.check import Outputs
from follower.convert.onnx_tools import Converted
from follower.convert.samples import Inputs
from follower.engines.folder import environment_of, installed_version
from shared.errors import InvalidModel, NotAvailable

_TIMEOUT_S: Final = 600.0
_TOLD_CHARS: Final = 300


def export(source: Path, target: Path, inputs: Sequence[Inputs]) -> tuple[Converted, list[Outputs]]:
    """Writes the ONNX file; also gives the program's own answers to ``inputs``.

    Raises:
        NotAvailable: PyTorch is not installed here.
        InvalidModel: the program cannot be exported, with PyTorch's last words.
    """
    version = installed_version("torch")
    if version is None:
        raise NotAvailable("this conversion needs engine torch; `inferbench platforms install torch` installs it")
    with TemporaryDirectory() as name:
        given, got = Path(name) / "inputs.npz", Path(name) / "outputs.npz"
        named = {f"{number}.{key}": array for number, each in enumerate(inputs) for key, array in each.items()}
        np.savez(given, **named)  # type: ignore[arg-type]
        _run([source, target, given, got], Path(name))
        with np.load(got) as arrays:
            outputs = [_of_sample(arrays, number) for number in range(len(inputs))]
    return Converted(f"torch {version}", {"exporter": "torch.onnx.export, TorchScript"}), outputs


def _of_sample(arrays: "np.lib.npyio.NpzFile", number: int) -> Outputs:
    count = sum(name.startswith(f"{number}.") for name in arrays.files)
    return [arrays[f"{number}.{place}"] for place in range(count)]


def _run(paths: Sequence[Path], folder: Path) -> None:
    argv = [sys.executable, "-P", "-W", "ignore", "-m", "follower.convert.torch_export", *map(str, paths)]
    environment = {**environment_of("torch"), "HOME": str(folder), "TMPDIR": str(folder), "OMP_NUM_THREADS": "1"}
    try:
        subprocess.run(
            argv, env=environment, cwd=folder, capture_output=True, text=True, timeout=_TIMEOUT_S, check=True
        )
    except subprocess.CalledProcessError as error:
        told = error.stderr.strip().rpartition("\n")[2][:_TOLD_CHARS]
        raise InvalidModel(f"PyTorch cannot export this program: {told}") from error
    except subprocess.TimeoutExpired as error:
        raise InvalidModel(f"PyTorch did not export this program within {_TIMEOUT_S:g} s") from error
