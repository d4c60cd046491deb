"""Job files as the command line reads them: from a path or standard input, checked here or by the leader."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer

from cli.errors import UnreadableFile
from cli.options import Invocation


@dataclass(frozen=True)
class Source:
    """A document and what to call it in messages."""

    name: str
    content: bytes


def read_source(context: typer.Context, file: str) -> Source:
    """The document; ``-`` is standard input. Problems found in it later are shown with its name.

    Raises:
        UnreadableFile: it cannot be read.
    """
    context.ensure_object(Invocation).source = "<stdin>" if file == "-" else file
    if file == "-":
        return Source("<stdin>", sys.stdin.buffer.read())
    try:
        return Source(file, Path(file).read_bytes())
    except OSError as error:
        raise UnreadableFile(f"{file} cannot be read: {error.strerror}") from error


def checked_here(source: Source) -> dict[str, Any]:
    """The effective job, every default written out, without asking a leader.

    Raises:
        InvalidJobFile: the document is not a job; all problems at once.
    """
    from shared.jobs.document import read_job  # noqa: PLC0415 - only this check needs the reader

    return dict(read_job(source.content).model_dump(mode="json"))
