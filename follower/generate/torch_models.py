"""Canonical models as TorchScript: written by a process of its own, because the follower never imports PyTorch."""

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

_TIMEOUT_S: Final = 300.0
_TOLD_CHARS: Final = 300


def write_torchscript(spec: CanonicalSpec, target: Path) -> ModelCard:
    """Writes the file and returns its card.

    Raises:
        InvalidModel: its weights are too many.
        AttemptFailed: MODEL_UNAVAILABLE where PyTorch is not installed or fails.
    """
    card = describe(spec).model_copy(update={"format": "torchscript", "opset": None})
    if installed_version("torch") is None:
        detail = "canonical models as TorchScript need engine torch; `inferbench platforms install torch` installs it"
        raise AttemptFailed(Cause.MODEL_UNAVAILABLE, detail)
    argv = [sys.executable, "-P", "-W", "ignore", "-m", "model_repo.canonical.torchscript"]
    place = str(target.parent)
    try:
        subprocess.run(
            [*argv, spec.model_dump_json(), str(target)],
            env={**environment_of("torch"), "HOME": place, "TMPDIR": place, "OMP_NUM_THREADS": "1"},
            cwd=place,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
            check=True,
        )
    except subprocess.CalledProcessError as error:
        told = error.stderr.strip().rpartition("\n")[2][:_TOLD_CHARS]
        raise AttemptFailed(Cause.MODEL_UNAVAILABLE, f"PyTorch could not write the model: {told}") from error
    except subprocess.TimeoutExpired as error:
        detail = f"PyTorch did not write the model within {_TIMEOUT_S:g} s"
        raise AttemptFailed(Cause.MODEL_UNAVAILABLE, detail) from error
    return card
