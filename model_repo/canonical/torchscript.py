"""``python -m model_repo.canonical.torchscript SPEC FILE TRAINING``: writes a canonical network as TorchScript.

Runs in a process that has PyTorch. ``SPEC`` is the ``generate`` section of a job file as JSON; ``TRAINING`` is a file
for what came of the training, written where the spec asks for one.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import torch  # type: ignore[import-not-found]
from pydantic import TypeAdapter

from model_repo.canonical.describe import describe
from model_repo.canonical.parameters import parameters_of
from model_repo.canonical.torch_networks import network
from model_repo.canonical.torch_training import train
from model_repo.cards import Training
from model_repo.torch_signature import SIGNATURE_FILE, Signature
from shared.jobs.spec import CanonicalSpec


def write(spec: CanonicalSpec, path: Path) -> Training | None:
    """Scripted, so that the batch stays free; with the signature that the ONNX file has. Trained where that is asked.

    Raises:
        InvalidModel: its weights would not fit into the ONNX file, which is what it is to be compared with.
    """
    card = describe(spec)
    signature = Signature(inputs=card.inputs, outputs=card.outputs)
    module = network(spec, iter(parameters_of(spec)))
    training = train(module, spec) if spec.train_steps else None
    torch.jit.save(torch.jit.script(module), str(path), _extra_files={SIGNATURE_FILE: signature.to_json()})
    return training


def main(arguments: Sequence[str]) -> None:
    """Writes what the command line asks for."""
    spec, path, facts = arguments
    training = write(TypeAdapter[CanonicalSpec](CanonicalSpec).validate_json(spec), Path(path))
    if training is not None:
        Path(facts).write_text(training.model_dump_json(), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
