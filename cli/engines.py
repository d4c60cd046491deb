"""What the follower's own program says of platforms and engines: the command line knows nothing of either."""

import json
import subprocess
import sys
from typing import Any


class NoAnswer(Exception):
    """The program failed; it has said why on standard error."""


def ask_engines(*arguments: str) -> list[dict[str, Any]]:
    """``python -m follower.engines ARGUMENTS``. Raises NoAnswer."""
    argv = [sys.executable, "-m", "follower.engines", *arguments]
    answer = subprocess.run(argv, stdout=subprocess.PIPE, check=False)
    if answer.returncode != 0:
        raise NoAnswer
    found: list[dict[str, Any]] = json.loads(answer.stdout)
    return found
