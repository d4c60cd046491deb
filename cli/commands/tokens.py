"""Tokens of the leader: who may come in."""

from typing import Annotated

import typer

from cli.options import Output, Yes, connected
from cli.output import Format, emit, say

app = typer.Typer(
    help="Who may use the leader: add, list and revoke tokens.", no_args_is_help=True, rich_markup_mode=None
)

TokenName = Annotated[
    str, typer.Argument(metavar="NAME", help="The token's name, which owns what is submitted with it.")
]


@app.command()
def add(
    context: typer.Context,
    name: TokenName,
    role: Annotated[str, typer.Option(help="viewer, submitter, follower or admin.")] = "submitter",
    follower: Annotated[str | None, typer.Option(help="The only follower that a follower's token speaks for.")] = None,
    output: Output = Format.TABLE,
) -> None:
    """Make a token and write it to standard output; it can never be shown again."""
    with connected(context) as client:
        made = client.add_token(name=name, role=role, follower=follower)
    emit(made, output, lambda: [made.token])
    say(f"{made.name} is a {made.role}; keep the token now: only its hash is stored")


@app.command(name="list")
def list_tokens(context: typer.Context, output: Output = Format.TABLE) -> None:
    """List tokens by name; never the tokens themselves."""
    from cli.tables import tokens_table
    from shared.clock import SystemClock
    from shared.wire.views import Page, TokenView

    with connected(context) as client:
        found = client.tokens()
    emit(Page[TokenView](items=tuple(found)), output, lambda: tokens_table(found, SystemClock().utc_now()))


@app.command()
def revoke(context: typer.Context, name: TokenName, yes: Yes = False) -> None:
    """Take a token away; it is refused within five seconds."""
    if not yes and not typer.confirm(f"Revoke the token {name}?", err=True):
        say("nothing is revoked")
        raise typer.Exit(1)
    with connected(context) as client:
        client.revoke_token(name)
    say(f"the token {name} is revoked")
