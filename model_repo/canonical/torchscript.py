"""``python -m model_repo.canonical.torchscript SPEC FILE``: writes a canonical network as TorchScript.

Runs in a process that has PyTorch. ``SPEC`` is the ``generate`` section of a job file as JSON.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import torch  # type: ignore[import-not-found]
from pydantic import TypeAdapter

from model_repo.canonical.describe import describe
from model_repo.canonical.parameters import parameters_of
from model_repo.canonical.torch_networks import network
from model_repo.torch_signature import SIGNATURE_FILE, Signature
from shared.jobs.spec import CanonicalSpec


def write(spec: CanonicalSpec, path: Path) -> None:
    """Scripted, so that the batch stays free; with the signature that the ONNX file has.

    Raises:
        InvalidModel: its weights would not fit into the ONNX file, which is what it is to be compared with.
    """
    card = describe(spec)
    signature = Signature(inputs=card.inputs, outputs=card.outputs)
    module = torch.jit.script(network(spec, iter(parameters_of(spec))))
    torch.jit.save(module, str(path), _extra_files={SIGNATURE_FILE: signature.to_json()})


def main(arguments: Sequence[str]) -> None:
    """Writes what the command line asks for."""
    spec, path = arguments
    write(TypeAdapter[CanonicalSpec](CanonicalSpec).validate_json(spec), Path(path))


if __name__ == "__main__":
    main(sys.argv[1:])
