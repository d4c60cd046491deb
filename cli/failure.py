"""The last words of a command that failed."""

import os
import traceback

from cli.output import say
from cli.problems import error_lines
from cli.settings import read_settings
from shared.errors import InferBenchError


def expected_exit_code(error: Exception, source: str) -> int | None:
    """Says what went wrong, and gives the exit code; None for an error that nobody foresaw."""
    if isinstance(error, InferBenchError):
        say(*error_lines(error, source))
        return error.exit_code
    if isinstance(error, OSError):
        say(f"error: {error}")
        return 1
    return None


def report_unexpected(error: Exception, *, debug: bool) -> int:
    """The traceback goes to the data folder, or to the terminal where it was asked for."""
    told = "".join(traceback.format_exception(error))
    say(f"error: this should not have happened: {type(error).__name__}: {error}")
    folder = read_settings().data_dir / "logs"
    if debug:
        say(told)
    elif folder.is_dir():
        path = folder / f"command-{os.getpid()}.log"
        path.write_text(told)
        say(f"the details are in {path}; please report them")
    else:
        say("run it again as `inferbench --debug ...` for the details")
    return 1
