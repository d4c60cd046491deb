"""The embedded stack: up, and one benchmark from start to finish."""

from pathlib import Path
from typing import Annotated

import typer

from cli.options import DataFolder
from cli.output import say, show


def register(app: typer.Typer) -> None:
    """Adds the commands to the root."""
    app.command()(up)
    app.command()(demo)


Port = Annotated[
    int | None,
    typer.Option(min=0, max=65535, help="The leader's port, 0 for any free one; INFERBENCH_PORT, else 8080."),
]


def up(port: Port = None, data_dir: DataFolder = None) -> None:
    """Run the whole service on this machine until Ctrl-C.

    Leader, follower, converter, database and broker, on loopback only; all that they write lies in the data folder.
    Trained models that installed packages ship are registered, so that the example jobs run as they are.
    """
    from cli.settings import read_settings
    from cli.stack.assembly import assemble
    from cli.stack.demo import register_packaged_models
    from cli.stack.supervisor import Stopped, running

    settings = read_settings()
    plan = assemble(settings, data_dir, settings.port if port is None else port)
    try:
        with running(plan, say) as stack:
            register_packaged_models(stack, settings.environment)
            show(_where(plan.url, plan.data.root))
            stack.wait()
    except Stopped as stopped:
        say(f"{stopped}; nothing is left running")


def _where(url: str, data_dir: Path) -> list[str]:
    return [
        f"InferBench is up at {url}",
        f"  token    {data_dir / 'admin.token'}",
        f"  logs     {data_dir / 'logs'}",
        f"  elsewhere: export INFERBENCH_URL={url} INFERBENCH_TOKEN_FILE={data_dir / 'admin.token'}",
        "  try it:    inferbench run examples/jobs/quickstart.yaml",
        "  Ctrl-C stops everything",
    ]


def demo(
    data_dir: DataFolder = None,
    file: Annotated[
        Path | None, typer.Option(dir_okay=False, exists=True, help="Job file; examples/jobs/quickstart.yaml if none.")
    ] = None,
) -> None:
    """Run one real benchmark, start to finish, then stop.

    Starts a stack of its own on a free port, then does what a user would do, and shows the commands.
    """
    from cli.settings import read_settings
    from cli.stack.assembly import assemble
    from cli.stack.demo import quickstart_file, show_around
    from cli.stack.supervisor import Stopped, running

    settings = read_settings()
    job_file = file or quickstart_file()
    plan = assemble(settings, data_dir, 0)
    try:
        with running(plan, say) as stack:
            code = show_around(stack, job_file, settings.environment, say)
    except Stopped as stopped:
        say(f"{stopped}; nothing is left running")
        raise typer.Exit(130) from None
    raise typer.Exit(code)
