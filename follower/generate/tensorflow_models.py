"""Canonical models as SavedModel: written by a process of its own, because the follower never imports TensorFlow."""

import subprocess
import sys
from pathlib import Path
from typing import Final

from follower.engines.folder import environment_of, installed_version
from model_repo.canonical.describe import describe
from model_repo.cards import ModelCard
from shared.errors import AttemptFailed
from shared.jobs.lifecycle import Cause
from shared.jobs.spec import CanonicalSpec

_ENGINE: Final = "tensorflow"
_TIMEOUT_S: Final = 300.0
_TOLD_CHARS: Final = 300


def write_savedmodel(spec: CanonicalSpec, target: Path) -> ModelCard:
    """Writes the folder and returns its card.

    Raises:
        InvalidModel: its weights are too many.
        AttemptFailed: MODEL_UNAVAILABLE where TensorFlow is not installed or fails.
    """
    card = describe(spec).model_copy(update={"format": "savedmodel", "opset": None})
    if installed_version(_ENGINE) is None:
        needs = f"engine {_ENGINE}; `inferbench platforms install {_ENGINE}` installs it"
        raise AttemptFailed(Cause.MODEL_UNAVAILABLE, f"canonical models as SavedModel need {needs}")
    argv = [sys.executable, "-P", "-m", "model_repo.canonical.savedmodel", spec.model_dump_json(), str(target)]
    place = str(target.parent)
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1", "HOME": place, "TMPDIR": place}
    try:
        subprocess.run(
            argv,
            env={**environment_of(_ENGINE), **quiet},
            cwd=place,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
            check=True,
        )
    except subprocess.CalledProcessError as error:
        told = error.stderr.strip().rpartition("\n")[2][:_TOLD_CHARS]
        raise AttemptFailed(Cause.MODEL_UNAVAILABLE, f"TensorFlow could not write the model: {told}") from error
    except subprocess.TimeoutExpired as error:
        detail = f"TensorFlow did not write the model within {_TIMEOUT_S:g} s"
        raise AttemptFailed(Cause.MODEL_UNAVAILABLE, detail) from error
    return card
