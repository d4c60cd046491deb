"""What other policies would have made of this service's own history, without touching its queue."""

from typing import Annotated

import typer

from cli.options import Output, connected
from cli.output import Format, emit


def register(app: typer.Typer) -> None:
    """Adds the command to the root."""
    app.command()(replay)


def replay(
    context: typer.Context,
    *,
    policy: Annotated[
        list[str] | None,
        typer.Option(help="PLACEMENT+ORDER, or one of the two; may be given several times. Else the usual ones."),
    ] = None,
    since: Annotated[str, typer.Option(help="How far back: runs that ended within 7d, 12h, 30m.")] = "7d",
    team: Annotated[str | None, typer.Option(help="Tell of this team's runs; the others' compete as well.")] = None,
    slots: Annotated[
        str | None, typer.Option(help="A number; or by device class: cpu=6,cuda=2. Else those of the live followers.")
    ] = None,
    output: Output = Format.TABLE,
) -> None:
    """Play the runs that ended again under other policies, beside what really came of them.

    Each run arrives when it was submitted, is ranked by what was predicted then, and takes a slot for as long as its
    attempts did. Runs that never started are not among them.
    """
    from dataclasses import asdict

    from cli.replaying import replay_lines, span_s
    from cli.simulating import slots_of
    from shared.errors import NotFound
    from shared.scheduling.policy import DEFAULT
    from shared.scheduling.replay import policies_of
    from shared.scheduling.replay import replay as played
    from shared.scheduling.stream_file import read_runs

    within_s = span_s(since)
    chosen = slots_of(slots) if slots else None
    names = policy or []
    policies_of(names, DEFAULT)  # a wrong name is told before anything is asked
    with connected(context) as client:
        trace, facts = client.history(within_s=within_s)
    runs = read_runs(trace, "the leader's history")
    if not runs:
        raise NotFound(f"no run that took a slot has ended within {since}: there is nothing to replay")
    policies = policies_of(names, facts.settings.to_policy())
    found = played(runs, chosen or facts.slots, policies, team=team)
    emit(asdict(found), output, lambda: replay_lines(found, since, facts.left_out))
