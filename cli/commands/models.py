"""Models at the leader: the paper's four calls, and the bytes."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.options import Limit, Output, Yes, connected
from cli.output import Format, emit, say, show

if TYPE_CHECKING:
    from cli.client import Client
    from shared.wire.views import ModelView

app = typer.Typer(help="What is served: registered models.", no_args_is_help=True, rich_markup_mode=None)

ModelName = Annotated[str, typer.Argument(metavar="NAME", help="A model's name.")]
Version = Annotated[int | None, typer.Option(min=1, help="Version; the newest one where none is given.")]
Card = Annotated[Path, typer.Option(exists=True, dir_okay=False, help="Model card, as YAML or JSON.")]
OptionalCard = Annotated[
    Path | None, typer.Option("--card", exists=True, dir_okay=False, help="Model card, as YAML or JSON.")
]


@app.command(name="list")
def list_models(
    context: typer.Context,
    text: Annotated[str, typer.Option(help="Only models whose name or card holds this text.")] = "",
    output: Output = Format.TABLE,
) -> None:
    """List models."""
    from cli.tables import models_table
    from shared.clock import SystemClock
    from shared.wire.views import ModelView, Page

    with connected(context) as client:
        found = client.models(text=text)
    emit(Page[ModelView](items=tuple(found)), output, lambda: models_table(found, SystemClock().utc_now()))


@app.command()
def push(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A model's file, or the folder of a SavedModel.")],
    name: Annotated[str, typer.Option(help="Name that job files use.")],
    card: OptionalCard = None,
    output: Output = Format.TABLE,
) -> None:
    """Upload a model, as the next version of its name."""
    from cli.uploads import push_model, read_card

    with connected(context) as client:
        view = push_model(client, file, name=name, card=read_card(card) if card else {})
    _emit(view, output)


@app.command()
def pull(
    context: typer.Context,
    name: ModelName,
    version: Version = None,
    to: Annotated[Path | None, typer.Option(help="File to write; NAME-VERSION.SUFFIX if not given.")] = None,
) -> None:
    """Download a model, and check it."""
    from cli.downloads import save
    from shared.jobs.formats import SUFFIXES

    with connected(context) as client:
        view = _chosen(client, name, version)
        suffix = SUFFIXES.get(view.card.get("format", "onnx"), "")
        path = to or Path(f"{view.name}-{view.version}{suffix}")
        save(client.download_model(view.name, view.version), path, sha256=view.sha256)
    show([str(path)])


@app.command()
def update(
    context: typer.Context, name: ModelName, card: Card, version: Version = None, output: Output = Format.TABLE
) -> None:
    """Replace a model's card; its bytes never change."""
    from cli.uploads import read_card

    content: dict[str, Any] = read_card(card)
    with connected(context) as client:
        view = client.update_model(name, _chosen(client, name, version).version, content)
    _emit(view, output)


@app.command()
def rm(
    context: typer.Context,
    name: ModelName,
    version: Annotated[int, typer.Option(min=1, help="Version to delete.")],
    yes: Yes = False,
) -> None:
    """Delete a version of a model."""
    if not yes and not typer.confirm(f"Delete {name} version {version}?", err=True):
        say("nothing is deleted")
        raise typer.Exit(1)
    with connected(context) as client:
        client.delete_model(name, version)
    say(f"{name} version {version} is deleted")


@app.command(name="import-packaged")
def import_packaged(
    context: typer.Context,
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="One of them; all where none is given.")] = None,
    output: Output = Format.TABLE,
) -> None:
    """Register trained models that installed packages ship.

    A model that is registered already stays as it is.
    """
    from cli.tables import models_table
    from cli.uploads import import_packaged_models
    from shared.clock import SystemClock
    from shared.wire.views import ModelView, Page

    with connected(context) as client:
        views = import_packaged_models(client, name)
    emit(Page[ModelView](items=tuple(views)), output, lambda: models_table(views, SystemClock().utc_now()))


@app.command()
def convert(
    context: typer.Context,
    name: ModelName,
    *,
    to: Annotated[str, typer.Option(help="optimized, fp16, int8, int8-calibrated; onnx for a TorchScript model.")],
    version: Version = None,
    dataset: Annotated[
        str | None, typer.Option(help="Built-in dataset to compare and calibrate with, or synthetic; else what fits.")
    ] = None,
    new_name: Annotated[str | None, typer.Option("--as", help="Its name; NAME-TO where none is given.")] = None,
    background: Annotated[bool, typer.Option("--background", help="Queue it at the leader, and print its id.")] = False,
    follow: Annotated[bool, typer.Option("--follow", help="With --background: wait for its end.")] = False,
    output: Output = Format.TABLE,
) -> None:
    """Convert a model on this machine, compare the two, and upload the result with its lineage.

    The model is opened by a process of its own, here and not at the leader. With --background a converter does all
    this, on its machine, when it can.
    """
    if background:
        _convert_in_background(
            context, name, to=to, version=version, dataset=dataset, new_name=new_name, follow=follow, output=output
        )
        return
    if follow:
        raise typer.BadParameter("goes with --background; without it the command waits anyway", param_hint="--follow")
    from cli.converting import convert_model, lineage_lines

    with connected(context) as client:
        view = convert_model(client, _chosen(client, name, version), to=to, name=new_name, dataset=dataset)
    _emit(view, output)
    if output is Format.TABLE:
        show(lineage_lines(view))


def _convert_in_background(
    context: typer.Context,
    name: str,
    *,
    to: str,
    version: int | None,
    dataset: str | None,
    new_name: str | None,
    follow: bool,
    output: Format,
) -> None:
    from uuid import uuid4

    from cli.conversions import exit_code_of, follow_conversion, wish_of

    with connected(context) as client:
        wish = wish_of(name, version, to=to, dataset=dataset, name=new_name)
        view = client.create_conversion(wish, idempotency_key=uuid4().hex)
        if follow:
            view = follow_conversion(client, view.id, say)
    emit(view, output, lambda: [view.id])
    raise typer.Exit(exit_code_of(view))


@app.command()
def conversions(
    context: typer.Context,
    conversion: Annotated[str | None, typer.Argument(metavar="ID", help="One of them.")] = None,
    *,
    follow: Annotated[bool, typer.Option("--follow", help="Wait for its end.")] = False,
    cancel: Annotated[bool, typer.Option("--cancel", help="Cancel it, queued or running.")] = False,
    limit: Limit = 50,
    output: Output = Format.TABLE,
) -> None:
    """Show conversions in the leader's queue, newest first; or follow or cancel one."""
    from cli.conversions import conversions_table, exit_code_of, follow_conversion
    from shared.clock import SystemClock
    from shared.wire.conversions import ConversionView
    from shared.wire.views import Page

    if conversion is None:
        if follow or cancel:
            raise typer.BadParameter("needs the ID of a conversion", param_hint="--follow" if follow else "--cancel")
        with connected(context) as client:
            found = client.conversions(limit=limit)
        page = Page[ConversionView](items=tuple(found))
        emit(page, output, lambda: conversions_table(found, SystemClock().utc_now()))
        return
    with connected(context) as client:
        view = client.cancel_conversion(conversion) if cancel else client.conversion(conversion)
        if follow:
            view = follow_conversion(client, conversion, say)
    emit(view, output, lambda: conversions_table([view], SystemClock().utc_now()))
    if follow:
        raise typer.Exit(exit_code_of(view))


def _chosen(client: "Client", name: str, version: int | None) -> "ModelView":
    """The version asked for, else the newest that is ready."""
    from cli.uploads import newest_ready

    return client.model(name, version) if version is not None else newest_ready(client, name)


def _emit(view: "ModelView", output: Format) -> None:
    from cli.tables import models_table
    from shared.clock import SystemClock

    emit(view, output, lambda: models_table([view], SystemClock().utc_now()))
