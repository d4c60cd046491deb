"""The options that several commands share, and what the root hands down to them. Imports nothing slow."""

from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.output import Format

if TYPE_CHECKING:
    from cli.client import Client


@dataclass
class Invocation:
    """What the options before the command say, and which file the command is about."""

    url: str | None = None
    token_file: Path | None = None
    debug: bool = False
    source: str = ""


Output = Annotated[Format, typer.Option("-o", "--output", help="How the result is written.")]
Limit = Annotated[int, typer.Option(min=1, max=10_000, help="Most entries.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]
JobFile = Annotated[str, typer.Argument(metavar="FILE", help="A job file; - reads standard input.")]
AnyId = Annotated[str, typer.Argument(metavar="ID", help="A job's id or a run's.")]
RunId = Annotated[str, typer.Argument(metavar="RUN", help="A run's id; a job's id means its only run.")]
DataFolder = Annotated[
    Path | None,
    typer.Option("--data-dir", file_okay=False, help="Folder of the stack; INFERBENCH_DATA_DIR, else ./.inferbench."),
]


def connected(context: typer.Context) -> "AbstractContextManager[Client]":
    """A client for the leader that the options, the environment or the running stack name.

    Raises:
        InvalidSetting, NoLeader, NoToken: see ``cli.connection.resolve``.
    """
    from cli.client import Client  # noqa: PLC0415 - httpx and pydantic, which help can do without
    from cli.connection import resolve  # noqa: PLC0415 - the same
    from cli.settings import read_settings  # noqa: PLC0415 - the same

    said = context.ensure_object(Invocation)
    return Client(resolve(read_settings(), url=said.url, token_file=said.token_file))
