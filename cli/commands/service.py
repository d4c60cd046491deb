"""The service itself: is it well, who works for it, which version."""

from typing import Annotated

import typer

from cli.options import DataFolder, Output, connected
from cli.output import Format, emit, say


def register(app: typer.Typer) -> None:
    """Adds the commands to the root."""
    for command in (doctor, followers, schema, version):
        app.command()(command)


def doctor(context: typer.Context, data_dir: DataFolder = None, output: Output = Format.TABLE) -> None:
    """Check this machine and the leader, and how to mend them."""
    from cli.doctor import check_lines, diagnose, report
    from cli.facts import gather
    from cli.options import Invocation
    from cli.settings import read_settings

    settings = read_settings()
    said = context.ensure_object(Invocation)
    checks = diagnose(gather(settings, data_dir or settings.data_dir, url=said.url, token_file=said.token_file))
    emit(report(checks), output, lambda: check_lines(checks))
    if any(check.status == "fail" for check in checks):
        raise typer.Exit(1)


def followers(context: typer.Context, output: Output = Format.TABLE) -> None:
    """List followers: hardware, slots, what they can run."""
    from cli.tables import followers_table
    from shared.clock import SystemClock
    from shared.wire.views import FollowerView, Page

    with connected(context) as client:
        found = client.followers()
    emit(Page[FollowerView](items=tuple(found)), output, lambda: followers_table(found, SystemClock().utc_now()))


def schema(
    context: typer.Context,
    server: Annotated[bool, typer.Option("--server", help="The leader's, instead of this version's.")] = False,
) -> None:
    """Print the JSON Schema of the job file, for editors."""
    from shared.jobs.schema import job_json_schema

    if server:
        with connected(context) as client:
            found = client.job_schema()
    else:
        found = job_json_schema()
    emit(found, Format.JSON, list)


def version(context: typer.Context, output: Output = Format.TABLE) -> None:
    """Print the versions of this command line and the leader."""
    from importlib.metadata import version as version_of

    from shared.errors import InferBenchError

    versions: dict[str, str | None] = {"inferbench": version_of("inferbench"), "leader": None}
    try:
        with connected(context) as client:
            versions["leader"] = client.version()
    except InferBenchError as error:
        say(f"leader: {error.detail}")
    emit(versions, output, lambda: [f"{name} {number}" for name, number in versions.items() if number])
