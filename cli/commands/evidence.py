"""What can be made of records that are there: compare them, derive them again, repeat their runs."""

from typing import Annotated

import typer

from cli.options import Output, RunId, connected
from cli.output import Format, emit

_SIDE = "A run's id; or a job's, which means all its runs that succeeded."


def register(app: typer.Typer) -> None:
    """Adds the commands to the root."""
    for command in (compare, recompute, rerun):
        app.command()(command)


def compare(
    context: typer.Context,
    a: Annotated[str, typer.Argument(metavar="A", help=_SIDE)],
    b: Annotated[str, typer.Argument(metavar="B", help=_SIDE)],
    *,
    at: Annotated[str, typer.Option(help="p50, p90, p95, p99, p99.9 or throughput.")] = "p99",
    margin: Annotated[str, typer.Option(help="Differences up to this one count as none.")] = "5%",
    anyway: Annotated[bool, typer.Option("--anyway", help="Compare different tasks, too.")] = False,
    output: Output = Format.TABLE,
) -> None:
    """Say whether B is faster than A, and how sure that is, from the raw samples of both.

    Exit codes: 0 faster, slower or equivalent; 2 they cannot be compared; 3 inconclusive.
    """
    from cli.comparing import compared, compared_lines, margin_of

    with connected(context) as client:
        found = compared(client, (a, b), at=at, margin=margin_of(margin), anyway=anyway)
    emit(found, output, lambda: compared_lines(found))
    raise typer.Exit(found.exit_code)


def recompute(
    context: typer.Context,
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run's id; or a raw file, FILE.parquet.")],
    output: Output = Format.TABLE,
) -> None:
    """Derive every figure of a record again from its raw samples, and say whether they are equal.

    Exit codes: 0 all are equal; 2 the raw file does not tell enough; 3 some are not equal.
    """
    from cli.commands.jobs import only_run
    from cli.recomputing import is_file, recomputed, recomputed_file, recomputed_lines

    with connected(context) as client:
        result = recomputed_file(client, run) if is_file(run) else recomputed(client, only_run(client, run))
    emit(result, output, lambda: recomputed_lines(result))
    raise typer.Exit(result.exit_code)


def rerun(
    context: typer.Context,
    run_id: RunId,
    wait: Annotated[bool, typer.Option("--wait", help="Stay until the job has ended; then as `run`.")] = False,
    output: Output = Format.TABLE,
) -> None:
    """Put a run into the queue once more: same configuration, same seed, same version of the model."""
    from uuid import uuid4

    from cli.commands.jobs import only_run, see_through
    from cli.repeating import job_file_of
    from cli.searches import job_report
    from shared.clock import SystemClock

    with connected(context) as client:
        record = client.record(only_run(client, run_id)).record
        document = job_file_of(record, client.job(record.job_id))
        job = client.submit(document, idempotency_key=str(uuid4()))
        if wait:
            see_through(client, job, output, cancel_on_interrupt=False)
        emit(job, output, lambda: job_report(job, SystemClock().utc_now()))
