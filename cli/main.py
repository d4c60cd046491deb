"""``inferbench``: the root of the commands, and the one place that turns an error into an exit code."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from typer.exceptions import Abort, TyperException

from cli.commands import (
    datasets,
    evidence,
    jobs,
    models,
    platforms,
    queue,
    replay,
    scheduling,
    service,
    simulate,
    stack,
    tokens,
)
from cli.options import Invocation
from cli.output import say

app = typer.Typer(
    name="inferbench",
    help="Benchmarks inference serving: YAML job in, leaderboard row out.",
    no_args_is_help=True,
    rich_markup_mode=None,  # plain help: rich would double its time
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def root(
    context: typer.Context,
    url: Annotated[
        str | None, typer.Option(help="The leader's address; INFERBENCH_URL, else the stack that runs here.")
    ] = None,
    token_file: Annotated[
        Path | None, typer.Option(help="File with the token; INFERBENCH_TOKEN_FILE or INFERBENCH_TOKEN.")
    ] = None,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks of unexpected errors.")] = False,
) -> None:
    """Options before the command are for all commands."""
    said = context.ensure_object(Invocation)
    said.url, said.token_file, said.debug = url, token_file, debug


for part in (stack, jobs, queue, evidence, simulate, replay, service):
    part.register(app)
app.add_typer(models.app, name="models")
app.add_typer(datasets.app, name="datasets")
app.add_typer(tokens.app, name="tokens")
app.add_typer(scheduling.app, name="scheduling")
app.add_typer(platforms.app, name="platforms")


def main() -> None:
    """The console script."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Carries out one command line; the exit code. Whatever goes wrong is said on standard error, without traceback."""
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="replace")  # type: ignore[union-attr]  # both are text files; an ASCII terminal is no reason to fail
    invocation = Invocation()
    try:
        return int(app(args=list(arguments), prog_name="inferbench", standalone_mode=False, obj=invocation) or 0)
    except TyperException as error:
        say(*_usage_lines(error))
        return error.exit_code
    except (Abort, KeyboardInterrupt):
        say("cancelled")
        return 130
    except Exception as error:  # noqa: BLE001 - the end of the line: nothing is swallowed, everything is said
        return _failed(error, invocation)


def _usage_lines(error: TyperException) -> list[str]:
    """A command without arguments asks for its help; anything else is told where help is."""
    told = error.format_message()
    if told.startswith("Usage:"):
        return [told]
    context: typer.Context | None = getattr(error, "ctx", None)
    return [f"error: {told}", f"see `{context.command_path if context else 'inferbench'} --help`"]


def _failed(error: Exception, invocation: Invocation) -> int:
    from cli.failure import expected_exit_code, report_unexpected  # noqa: PLC0415 - not needed when all goes well

    code = expected_exit_code(error, invocation.source)
    return report_unexpected(error, debug=invocation.debug) if code is None else code
