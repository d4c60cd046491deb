"""``python -m follower.convert.torch_export SOURCE TARGET INPUTS OUTPUTS``: TorchScript to ONNX, where PyTorch is.

``INPUTS`` holds arrays named ``sample.input``; ``OUTPUTS`` gets the program's answers, named ``sample.output``.
"""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch  # type: ignore[import-not-found]

from model_repo.cards import TensorCard
from model_repo.torch_signature import SIGNATURE_FILE, Signature, parse_signature

OPSET: Final = 17

Arrays = Mapping[str, npt.NDArray[Any]]


def main(arguments: Sequence[str]) -> None:
    """Writes the ONNX file and the program's answers."""
    source, target, inputs, outputs = map(Path, arguments)
    extra = {SIGNATURE_FILE: ""}
    module = torch.jit.load(str(source), map_location="cpu", _extra_files=extra).eval()
    signature = parse_signature(extra[SIGNATURE_FILE])
    with np.load(inputs) as arrays:
        samples = _samples(arrays, signature)
    with torch.inference_mode():
        np.savez(outputs, **_named([_tuple(module(*sample)) for sample in samples]))  # type: ignore[arg-type]
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


def _samples(arrays: Any, signature: Signature) -> list[tuple[Any, ...]]:
    count = len({name.partition(".")[0] for name in arrays.files})
    names = [each.name for each in signature.inputs]
    return [tuple(torch.from_numpy(arrays[f"{number}.{name}"]) for name in names) for number in range(count)]


def _tuple(answer: Any) -> tuple[Any, ...]:
    return (answer,) if isinstance(answer, torch.Tensor) else tuple(answer)


def _named(answers: Sequence[tuple[Any, ...]]) -> Arrays:
    return {
        f"{sample}.{place}": tensor.numpy()
        for sample, answer in enumerate(answers)
        for place, tensor in enumerate(answer)
    }


def _free_axes(tensor: TensorCard) -> dict[int, str]:
    """The batch is one and the same everywhere; any other free axis is its tensor's own."""
    free = [axis for axis, size in enumerate(tensor.shape) if size < 0]
    return {axis: "batch" if axis == 0 else f"{tensor.name}_{axis}" for axis in free}


if __name__ == "__main__":
    main(sys.argv[1:])
