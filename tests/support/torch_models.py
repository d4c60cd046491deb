"""Tiny TorchScript models, made by a process that has PyTorch: this one must not import it."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from follower.engines.folder import environment_of
from model_repo.torch_signature import Signature

AFFINE = """
class Model(torch.nn.Module):
    def forward(self, x):
        return 2 * x + 1, x.sum(1)
"""

_MAKE = """
import sys
import torch
{source}
extra = {{"inferbench.json": sys.argv[2]}} if sys.argv[2] else {{}}
torch.jit.save(torch.jit.script(Model().eval()), sys.argv[1], _extra_files=extra)
"""

Tensor = tuple[str, str, Sequence[int]]  # name, datatype, shape


def signature(inputs: Sequence[Tensor], outputs: Sequence[Tensor]) -> str:
    """The file that lies in the archive."""

    def cards(tensors: Sequence[Tensor]) -> list[dict[str, Any]]:
        return [{"name": name, "datatype": datatype, "shape": shape} for name, datatype, shape in tensors]

    return Signature.model_validate({"inputs": cards(inputs), "outputs": cards(outputs)}).to_json()


def script(path: Path, source: str, text: str) -> Path:
    """Writes the class ``Model`` of ``source`` as TorchScript, with ``text`` as its signature; none where empty."""
    environment = {**environment_of("torch"), "HOME": str(path.parent), "TMPDIR": str(path.parent)}
    program = path.with_suffix(".py")
    program.write_text(_MAKE.format(source=source))  # TorchScript reads the source from its file
    subprocess.run([sys.executable, "-W", "ignore", str(program), str(path), text], env=environment, check=True)
    program.unlink()
    return path


def affine(path: Path) -> Path:
    """Computes y = 2x + 1 and z = the sum of each row of x, for x of shape [batch, 4]."""
    outputs: list[Tensor] = [("y", "FP32", [-1, 4]), ("z", "FP32", [-1])]
    return script(path, AFFINE, signature([("x", "FP32", [-1, 4])], outputs))
