"""``python -m model_repo.canonical.savedmodel SPEC FOLDER``: writes a canonical network as SavedModel.

Runs in a process that has TensorFlow. ``SPEC`` is the ``generate`` section of a job file as JSON.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import tensorflow as tf  # type: ignore[import-untyped]
from pydantic import TypeAdapter

from model_repo.canonical.parameters import parameters_of
from model_repo.canonical.tensorflow_networks import Network
from shared.jobs.spec import CanonicalSpec


def write(spec: CanonicalSpec, folder: Path) -> None:
    """With the names that the ONNX file has, under the signature that TensorFlow Serving takes by default."""
    network = Network(spec, iter(parameters_of(spec)))
    tf.saved_model.save(network, str(folder), signatures={"serving_default": network.serve})


def main(arguments: Sequence[str]) -> None:
    """Writes what the command line asks for."""
    spec, folder = arguments
    write(TypeAdapter[CanonicalSpec](CanonicalSpec).validate_json(spec), Path(folder))


if __name__ == "__main__":
    main(sys.argv[1:])
