"""``python -m model_repo.canonical.savedmodel SPEC FOLDER TRAINING``: writes a canonical network as SavedModel.

Runs in a process that has TensorFlow. ``SPEC`` is the ``generate`` section of a job file as JSON; ``TRAINING`` is a
file for what came of the training, written where the spec asks for one.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import tensorflow as tf  # type: ignore[import-untyped]
from pydantic import TypeAdapter

from model_repo.canonical.parameters import parameters_of
from model_repo.canonical.tensorflow_networks import Network
from model_repo.canonical.tensorflow_training import repeatable, train
from model_repo.cards import Training
from shared.jobs.spec import CanonicalSpec


def write(spec: CanonicalSpec, folder: Path) -> Training | None:
    """With the names that the ONNX file has, under the signature that TensorFlow Serving takes by default.

    Trained where that is asked.
    """
    if spec.train_steps:
        repeatable()
    network = Network(spec, iter(parameters_of(spec)))
    training = train(network, spec) if spec.train_steps else None
    tf.saved_model.save(network, str(folder), signatures={"serving_default": network.serve})
    return training


def main(arguments: Sequence[str]) -> None:
    """Writes what the command line asks for."""
    spec, folder, facts = arguments
    training = write(TypeAdapter[CanonicalSpec](CanonicalSpec).validate_json(spec), Path(folder))
    if training is not None:
        Path(facts).write_text(training.model_dump_json(), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
