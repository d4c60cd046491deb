"""How the queue is ordered: policy, quotas; for admins."""

from typing import Annotated, Any

import typer

from cli.options import Output, connected
from cli.output import Format, emit

app = typer.Typer(
    help="How the queue is ordered: show and set policy and quotas.", no_args_is_help=True, rich_markup_mode=None
)


LIMITS = ("queued", "running", "device_s", "weight")


@app.command()
def show(context: typer.Context, output: Output = Format.TABLE) -> None:
    """Show the settings in force."""
    from cli.standing import scheduling_lines

    with connected(context) as client:
        view = client.scheduling()
    emit(view, output, lambda: scheduling_lines(view))


@app.command(name="set")
def set_settings(
    context: typer.Context,
    changes: Annotated[
        list[str],
        typer.Argument(
            metavar="KEY=VALUE...",
            help="Such as order=shortest-first, aging=0, quotas.vision.running=2; an empty value takes a limit away.",
        ),
    ],
    output: Output = Format.TABLE,
) -> None:
    """Change some settings and leave the others; in force within two seconds, without a restart."""
    from cli.standing import scheduling_lines

    with connected(context) as client:
        settings = client.scheduling().settings.model_dump(mode="json")
        for change in changes:
            apply(settings, change)
        view = client.set_scheduling(settings)
    emit(view, output, lambda: scheduling_lines(view))


def apply(settings: dict[str, Any], change: str) -> None:
    """Put ``path=value`` into the settings; whether it fits, the leader says.

    Raises:
        InvalidInput: it has not that form.
    """
    from shared.errors import InvalidInput

    path, equals, value = change.partition("=")
    if not path or not equals:
        raise InvalidInput(f"{change!r} is not KEY=VALUE, such as order=fair-share or quotas.vision.running=2")
    *above, last = path.split(".")
    if above[:1] == ["quotas"]:  # a team's name may have dots
        *team, limit = [*above[1:], last]
        above, last = (["quotas", ".".join(team)], limit) if limit in LIMITS and team else (["quotas"], path[7:])
    place = settings
    for key in above:
        place = place.setdefault(key, {})
        if not isinstance(place, dict):
            raise InvalidInput(f"{change!r}: {key} has no parts")
    place[last] = _parsed(value)
    if place[last] is None and above == ["quotas"]:
        del place[last]


def _parsed(value: str) -> Any:
    import json

    try:
        return json.loads(value) if value else None
    except ValueError:
        return value
