"""A part of a conversion that needs an engine: a program in a process that has it, and its last words."""

import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from follower.engines.folder import environment_of, installed_version
from shared.errors import InvalidModel, NotAvailable

_TIMEOUT_S: Final = 600.0
_TOLD_CHARS: Final = 300


@dataclass(frozen=True)
class EngineProgram:
    """``python -m MODULE ARGUMENTS`` where the engine is. A refusal is the last line of its standard error."""

    engine: str
    engine_name: str  # as people write it
    module: str
    task: str  # what it "cannot" where it fails
    environment: Mapping[str, str]

    def require(self) -> str:
        """The engine's version.

        Raises:
            NotAvailable: it is not installed here.
        """
        version = installed_version(self.engine)
        if version is None:
            needs = f"engine {self.engine}; `inferbench platforms install {self.engine}` installs it"
            raise NotAvailable(f"this conversion needs {needs}")
        return version

    def run(self, arguments: Sequence[str | Path], folder: Path) -> None:
        """Waits until it is done. ``folder`` is all that it is given of this machine.

        Raises:
            InvalidModel: it failed, or took ten minutes.
        """
        argv = [sys.executable, "-P", "-W", "ignore", "-m", self.module, *map(str, arguments)]
        place = {"HOME": str(folder), "TMPDIR": str(folder)}
        environment = {**environment_of(self.engine), **self.environment, **place}
        try:
            subprocess.run(
                argv, env=environment, cwd=folder, capture_output=True, text=True, timeout=_TIMEOUT_S, check=True
            )
        except subprocess.CalledProcessError as error:
            told = error.stderr.strip().rpartition("\n")[2][:_TOLD_CHARS]
            raise InvalidModel(f"{self.engine_name} cannot {self.task}: {told}") from error
        except subprocess.TimeoutExpired as error:
            raise InvalidModel(f"{self.engine_name} did not {self.task} within {_TIMEOUT_S:g} s") from error
