"""Datasets and traces at the leader."""

from pathlib import Path
from typing import Annotated

import typer

from cli.options import Output, connected
from cli.output import Format, emit

app = typer.Typer(
    help="What is sent, and when: datasets, built in and uploaded, and traces of arrivals.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.command(name="list")
def list_datasets(context: typer.Context, output: Output = Format.TABLE) -> None:
    """List datasets, built-in ones included, and traces."""
    from cli.tables import datasets_table
    from shared.wire.views import DatasetView, Page

    with connected(context) as client:
        found = client.datasets()
    emit(Page[DatasetView](items=tuple(found)), output, lambda: datasets_table(found))


@app.command()
def push(
    context: typer.Context,
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", help="A dataset: Parquet with columns name, data and label. A trace: CSV or JSON lines."
        ),
    ],
    name: Annotated[str, typer.Option(help="Name that job files use.")],
    description: Annotated[str, typer.Option(help="What it is.")] = "",
    output: Output = Format.TABLE,
) -> None:
    """Upload a dataset or a trace, as the next version of its name.

    A Parquet file is a dataset, for `requests.dataset`; any other file must be a trace, for `workload.trace`.
    """
    from cli.client import file_chunks
    from cli.downloads import digest_of
    from cli.tables import datasets_table

    digest = digest_of(file)
    with connected(context) as client:
        pending = client.register_dataset(
            name=name, sha256=digest.sha256, size_bytes=digest.size_bytes, description=description
        )
        view = client.upload_dataset(name, pending.version, file_chunks(file))
    emit(view, output, lambda: datasets_table([view]))
