"""The demo: what a user would type, typed for them beside a running stack."""

import shlex
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from cli.errors import UnreadableFile
from cli.exits import ExitCode
from cli.stack.supervisor import Stack

MODEL: Final = "ppocr-rec"
_QUICKSTART: Final = Path("examples/jobs/quickstart.yaml")


def quickstart_file() -> Path:
    """The quickstart's job file: of the checkout one stands in, else of the checkout this code lies in.

    Raises:
        UnreadableFile: it is in neither.
    """
    for root in (Path(), Path(__file__).parents[2]):
        if (root / _QUICKSTART).is_file():
            return root / _QUICKSTART
    raise UnreadableFile(f"{_QUICKSTART} is not here; name a job file with --file")


def tour(job_file: Path) -> tuple[tuple[str, ...], ...]:
    """The command lines, without the program's name."""
    return (
        ("models", "import-packaged", MODEL),
        ("run", str(job_file)),
        ("leaderboard", "--metric", "p50_ms"),  # a short run certifies no higher percentile on every machine
    )


def show_around(stack: Stack, job_file: Path, environment: Mapping[str, str], say: Callable[[str], None]) -> int:
    """Carries out the tour; the exit code of the first command that failed, else 0.

    An unmet SLO is a result like any other: the demo goes on.

    Raises:
        ChildDied: a part of the stack ended meanwhile.
        Stopped: a signal asked for the end.
    """
    for words in tour(job_file):
        say(f"\n$ inferbench {shlex.join(words)}")
        code = stack.visit((sys.executable, "-m", "cli", *words), visitor_environment(stack, environment))
        if code not in (ExitCode.OK, ExitCode.NOT_SHOWN):
            return code
    return ExitCode.OK


def register_packaged_models(stack: Stack, environment: Mapping[str, str]) -> None:
    """Registers what is not registered yet. A package that is missing is told of and keeps nothing from running.

    Raises:
        ChildDied: a part of the stack ended meanwhile.
        Stopped: a signal asked for the end.
    """
    stack.visit((sys.executable, "-m", "cli", "models", "import-packaged"), visitor_environment(stack, environment))


def visitor_environment(stack: Stack, environment: Mapping[str, str]) -> dict[str, str]:
    """The user's own, but for the leader to talk to: that is the demo's stack, found as a user's would be."""
    others = {name: value for name, value in environment.items() if not name.startswith("INFERBENCH_")}
    return others | {"INFERBENCH_DATA_DIR": str(stack.plan.data.root), "PYTHONSAFEPATH": "1"}
