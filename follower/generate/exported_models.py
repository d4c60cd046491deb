"""Canonical models in other frameworks' formats, written by processes of their own: the follower imports no engine."""

import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from follower.engines.folder import environment_of, installed_version
from model_repo.canonical.describe import describe
from model_repo.cards import ModelCard, Training
from shared.errors import AttemptFailed
from shared.jobs.formats import ModelFormat
from shared.jobs.lifecycle import Cause
from shared.jobs.spec import CanonicalSpec

_TIMEOUT_S: Final = 300.0
_TOLD_CHARS: Final = 300
_TRAINING_FILE: Final = "training.json"


@dataclass(frozen=True)
class Exporter:
    """A program that writes canonical models in one format: ``python -m MODULE SPEC TARGET TRAINING``."""

    format: ModelFormat
    format_name: str  # as people write it
    engine: str
    engine_name: str
    module: str
    environment: Mapping[str, str]

    def write(self, spec: CanonicalSpec, target: Path) -> ModelCard:
        """Write the file, or the folder, trained first where the spec asks for it, and return its card.

        Raises:
            InvalidModel: its weights are too many.
            AttemptFailed: MODEL_UNAVAILABLE where the engine is not installed or fails.
        """
        trained = target.with_name(_TRAINING_FILE)
        card = describe(spec).model_copy(update={"format": self.format, "opset": None})
        if installed_version(self.engine) is None:
            needs = f"engine {self.engine}; `inferbench platforms install {self.engine}` installs it"
            raise AttemptFailed(Cause.MODEL_UNAVAILABLE, f"canonical models as {self.format_name} need {needs}")
        try:
            self._run(spec, target, trained)
        except subprocess.CalledProcessError as error:
            told = error.stderr.strip().rpartition("\n")[2][:_TOLD_CHARS]
            detail = f"{self.engine_name} could not write the model: {told}"
            raise AttemptFailed(Cause.MODEL_UNAVAILABLE, detail) from error
        except subprocess.TimeoutExpired as error:
            detail = f"{self.engine_name} did not write the model within {_TIMEOUT_S:g} s"
            raise AttemptFailed(Cause.MODEL_UNAVAILABLE, detail) from error
        if not spec.train_steps:
            return card
        return card.model_copy(update={"training": Training.model_validate_json(trained.read_bytes())})

    def _run(self, spec: CanonicalSpec, target: Path, trained: Path) -> None:
        python = [sys.executable, "-P", "-W", "ignore", "-m"]
        place = str(target.parent)
        subprocess.run(
            [*python, self.module, spec.model_dump_json(), str(target), str(trained)],
            env={**environment_of(self.engine), **self.environment, "HOME": place, "TMPDIR": place},
            cwd=place,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
            check=True,
        )


TORCHSCRIPT: Final = Exporter(
    format="torchscript",
    format_name="TorchScript",
    engine="torch",
    engine_name="PyTorch",
    module="model_repo.canonical.torchscript",
    environment={"OMP_NUM_THREADS": "1"},
)

SAVEDMODEL: Final = Exporter(
    format="savedmodel",
    format_name="SavedModel",
    engine="tensorflow",
    engine_name="TensorFlow",
    module="model_repo.canonical.savedmodel",
    environment={"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"},
)
