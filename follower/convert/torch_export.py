"""``python -m follower.convert.torch_export SOURCE TARGET INPUTS OUTPUTS``: TorchScript to ONNX, where PyTorch is.

``INPUTS`` are written by ``sample_files``; ``OUTPUTS``, which are the program's answers, are read by it.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import torch  # type: ignore[import-not-found]

from follower.convert.sample_files import read_inputs, write_outputs
from model_repo.cards import TensorCard
from model_repo.torch_signature import SIGNATURE_FILE, parse_signature

OPSET: Final = 17


def main(arguments: Sequence[str]) -> None:
    """Writes the ONNX file and the program's answers."""
    source, target, inputs, outputs = map(Path, arguments)
    extra = {SIGNATURE_FILE: ""}
    module = torch.jit.load(str(source), map_location="cpu", _extra_files=extra).eval()
    signature = parse_signature(extra[SIGNATURE_FILE])
    samples = [tuple(torch.from_numpy(each[one.name]) for one in signature.inputs) for each in read_inputs(inputs)]
    with torch.inference_mode():
        write_outputs(outputs, [[tensor.numpy() for tensor in _tuple(module(*sample))] for sample in samples])
    tensors = (*signature.inputs, *signature.outputs)
    torch.onnx.export(
        module,
        samples[0],
        str(target),
        dynamo=False,  # the newer exporter takes no TorchScript
        input_names=[each.name for each in signature.inputs],
        output_names=[each.name for each in signature.outputs],
        dynamic_axes={each.name: _free_axes(each) for each in tensors},
        opset_version=OPSET,
    )


def _tuple(answer: Any) -> tuple[Any, ...]:
    return (answer,) if isinstance(answer, torch.Tensor) else tuple(answer)


def _free_axes(tensor: TensorCard) -> dict[int, str]:
    """The batch is one and the same everywhere; any other free axis is its tensor's own."""
    free = [axis for axis, size in enumerate(tensor.shape) if size < 0]
    return {axis: "batch" if axis == 0 else f"{tensor.name}_{axis}" for axis in free}


if __name__ == "__main__":
    main(sys.argv[1:])
