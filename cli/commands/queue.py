"""The queue and who works on it: why a run waits, which follower gets no more."""

from typing import Annotated

import typer

from cli.options import Output, RunId, connected
from cli.output import Format, emit

FollowerName = Annotated[str, typer.Argument(metavar="FOLLOWER", help="A follower's name.")]


def register(app: typer.Typer) -> None:
    """Adds the commands to the root."""
    for command in (explain, cordon, uncordon):
        app.command()(command)
    app.command(name="drain")(drain)


def explain(context: typer.Context, run_id: RunId, output: Output = Format.TABLE) -> None:
    """Say why a run stands where it stands: its rank, what it waits for, when it should start and end."""
    from cli.commands.jobs import only_run
    from cli.standing import explain_lines

    with connected(context) as client:
        view = client.explain(only_run(client, run_id))
    emit(view, output, lambda: explain_lines(view))


def cordon(context: typer.Context, follower: FollowerName, output: Output = Format.TABLE) -> None:
    """Give a follower nothing new; what it runs, it finishes. It stays so over restarts, until `uncordon`."""
    _cordon(context, follower, output, cordoned=True)


def uncordon(context: typer.Context, follower: FollowerName, output: Output = Format.TABLE) -> None:
    """Give a follower work again."""
    _cordon(context, follower, output, cordoned=False)


def _cordon(context: typer.Context, follower: str, output: Format, *, cordoned: bool) -> None:
    from cli.tables import followers_table
    from shared.clock import SystemClock

    with connected(context) as client:
        view = client.cordon(follower, cordoned=cordoned)
    emit(view, output, lambda: followers_table([view], SystemClock().utc_now()))


def drain(context: typer.Context, follower: FollowerName, output: Output = Format.TABLE) -> None:
    """Cordon a follower, and wait until it has finished what it runs. Ctrl-C ends the waiting, not the cordon."""
    from cli.standing import drained
    from cli.tables import followers_table
    from shared.clock import SystemClock

    with connected(context) as client:
        client.cordon(follower, cordoned=True)
        view = drained(client, follower)
    emit(view, output, lambda: followers_table([view], SystemClock().utc_now()))
