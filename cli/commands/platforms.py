"""Serving platforms of the follower on this machine: which can be used, and the engines that they need."""

from typing import Annotated, Any

import typer

from cli.options import Output
from cli.output import Format, emit, say

app = typer.Typer(
    help="Serving platforms of this machine: list them, install engines.", no_args_is_help=True, rich_markup_mode=None
)


@app.command(name="list")
def list_platforms(output: Output = Format.TABLE) -> None:
    """List every platform: its version, how it can be used, or what it lacks."""
    from cli.tables import platforms_table

    found = _ask("list")
    emit({"platforms": found}, output, lambda: platforms_table(found))


@app.command()
def install(
    engines: Annotated[list[str], typer.Argument(metavar="ENGINE...", help="triton, tensorflow, torch, openvino.")],
) -> None:
    """Install engines for the follower of this installation; running followers notice at their next start.

    They go into a folder beside the interpreter, at pinned versions and checked digests; nothing else changes.
    """
    for engine in engines:
        say(f"installing {engine} ...")
        for done in _ask("install", engine):
            was_there = done["before"] == done["version"]
            say(f"{done['engine']} {done['version']} {'was installed already' if was_there else 'is installed'}")


def _ask(*arguments: str) -> list[dict[str, Any]]:
    from cli.engines import NoAnswer, ask_engines

    try:
        return ask_engines(*arguments)
    except NoAnswer:
        raise typer.Exit(1) from None
