"""Jobs and runs: submit, watch, look at, cancel."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.options import AnyId, JobFile, Limit, Output, RunId, connected
from cli.output import Format, emit, say, show

if TYPE_CHECKING:
    from cli.client import Client
    from shared.wire.views import JobView


def register(app: typer.Typer) -> None:
    """Adds the commands to the root."""
    for command in (validate, plan, submit, run, get, watch, logs, samples, cancel, leaderboard):
        app.command()(command)
    app.command(name="list")(list_jobs)


def validate(
    context: typer.Context,
    file: JobFile,
    server: Annotated[bool, typer.Option("--server", help="Ask the leader, which also knows its followers.")] = False,
    output: Output = Format.TABLE,
) -> None:
    """Check a job file, without running it."""
    from cli.job_file import checked_here, read_source

    source = read_source(context, file)
    if server:
        with connected(context) as client:
            effective = client.validate(source.content)
    else:
        effective = checked_here(source)
    emit(effective, output, lambda: [f"{source.name}: valid"])


def plan(context: typer.Context, file: JobFile, output: Output = Format.TABLE) -> None:
    """Show what runs a job would have, which are measured already, and when it would start and end."""
    from cli.job_file import read_source
    from cli.plans import plan_lines

    source = read_source(context, file)
    with connected(context) as client:
        view = client.plan(source.content)
    emit(view, output, lambda: plan_lines(view))


IdempotencyKey = Annotated[
    str | None, typer.Option(help="Submitting twice under one key gives one job; made up where none is given.")
]


def submit(
    context: typer.Context,
    file: JobFile,
    wait: Annotated[bool, typer.Option("--wait", help="Stay until the job has ended; then as `run`.")] = False,
    idempotency_key: IdempotencyKey = None,
    output: Output = Format.TABLE,
) -> None:
    """Put a job into the queue."""
    with connected(context) as client:
        job = _submitted(context, client, file, idempotency_key)
        if wait:
            see_through(client, job, output, cancel_on_interrupt=False)
        from cli.searches import job_report
        from shared.clock import SystemClock

        emit(job, output, lambda: job_report(job, SystemClock().utc_now()))


def run(
    context: typer.Context, file: JobFile, idempotency_key: IdempotencyKey = None, output: Output = Format.TABLE
) -> None:
    """Submit a job, watch it, show its verdict; of a search, the rate that it found.

    Ctrl-C cancels the job. Exit codes: 0 it ran and meets its SLO; 1 it failed, was lost, timed out or quarantined;
    3 it ran, but its SLO is unmet or the measurement invalid; 130 it was cancelled.
    """
    with connected(context) as client:
        job = _submitted(context, client, file, idempotency_key)
        say(f"{job.id}: {job.name}, {job.run_count} run{'s' if job.run_count != 1 else ''}")
        see_through(client, job, output, cancel_on_interrupt=True)


def _submitted(context: typer.Context, client: "Client", file: str, idempotency_key: str | None) -> "JobView":
    from uuid import uuid4

    from cli.job_file import read_source

    source = read_source(context, file)
    return client.submit(source.content, idempotency_key=idempotency_key or str(uuid4()))


def see_through(client: "Client", job: "JobView", output: Format, *, cancel_on_interrupt: bool) -> None:
    """Follows the job to its end, shows the outcome, and ends the command with the code it deserves."""
    from cli.follow import follow_job
    from cli.outcome import outcome_lines, outcome_page, settle
    from cli.progress import reporter

    try:
        with reporter() as progress:
            ended = follow_job(client, job.id, progress)
    except KeyboardInterrupt:
        if cancel_on_interrupt:
            client.cancel_job(job.id)
        say(f"{job.id} {'is cancelled' if cancel_on_interrupt else f'goes on; `inferbench watch {job.id}`'}")
        raise typer.Exit(130) from None
    outcome = settle(client, ended)
    emit(outcome_page(outcome), output, lambda: outcome_lines(outcome))
    raise typer.Exit(outcome.exit_code)


def list_jobs(
    context: typer.Context,
    *,
    team: Annotated[str | None, typer.Option(help="Only this team's.")] = None,
    name: Annotated[str | None, typer.Option(help="Only jobs of this name.")] = None,
    state: Annotated[str | None, typer.Option(help="queued, running, succeeded, invalid, failed or cancelled.")] = None,
    limit: Limit = 20,
    output: Output = Format.TABLE,
) -> None:
    """List jobs, newest first."""
    from cli.tables import jobs_table
    from shared.clock import SystemClock
    from shared.wire.views import JobView, Page

    with connected(context) as client:
        found = client.jobs(limit=limit, team=team, name=name, state=state)
    emit(Page[JobView](items=tuple(found)), output, lambda: jobs_table(found, SystemClock().utc_now()))


def get(context: typer.Context, id: AnyId, output: Output = Format.TABLE) -> None:  # noqa: A002 - the word users see
    """Show a job and what its searches found, or a run and its verdict."""
    from cli.outcome import run_and_verdict_lines
    from cli.searches import job_report
    from shared.clock import SystemClock
    from shared.jobs.ids import is_run_id

    with connected(context) as client:
        if is_run_id(id):
            run_view = client.run(id)
            emit(run_view, output, lambda: run_and_verdict_lines(client, run_view))
        else:
            job = client.job(id)
            emit(job, output, lambda: job_report(job, SystemClock().utc_now()))


def watch(context: typer.Context, id: AnyId, output: Output = Format.TABLE) -> None:  # noqa: A002 - the word users see
    """Watch a job until it has ended, then show its verdict.

    A run's id means its job. Ctrl-C stops the watching, not the job.
    """
    from shared.jobs.ids import is_run_id, job_of

    with connected(context) as client:
        see_through(client, client.job(job_of(id) if is_run_id(id) else id), output, cancel_on_interrupt=False)


def logs(context: typer.Context, run_id: RunId) -> None:
    """Write a run's log to standard output."""
    with connected(context) as client:
        for chunk in client.log(only_run(client, run_id)):
            sys.stdout.buffer.write(chunk)
    sys.stdout.flush()


def samples(
    context: typer.Context,
    run_id: RunId,
    to: Annotated[Path | None, typer.Option(help="File to write; RUN.parquet where none is given.")] = None,
    attempt: Annotated[int | None, typer.Option(min=1, help="Only of this attempt, whatever became of it.")] = None,
) -> None:
    """Download a run's raw samples as Parquet, one row a request.

    A failed attempt's samples, too, as far as it left them.
    """
    from cli.downloads import save

    with connected(context) as client:
        run_id = only_run(client, run_id)
        path = to or Path(f"{run_id}.parquet")
        save(client.samples(run_id, attempt=attempt), path)
    show([str(path)])


def only_run(client: "Client", given: str) -> str:
    """The run that an id means; a job's id will do where the job has one run."""
    from shared.errors import InvalidInput
    from shared.jobs.ids import is_job_id

    if not is_job_id(given):
        return given
    runs = client.job(given).runs
    if len(runs) != 1:
        raise InvalidInput(f"{given} has {len(runs)} runs; name one of them: {', '.join(run.id for run in runs[:3])} …")
    return runs[0].id


def cancel(context: typer.Context, id: AnyId, output: Output = Format.TABLE) -> None:  # noqa: A002 - the word users see
    """Cancel a job, or one of its runs."""
    from cli.tables import job_lines, run_lines
    from shared.clock import SystemClock
    from shared.jobs.ids import is_run_id

    with connected(context) as client:
        if is_run_id(id):
            run_view = client.cancel_run(id)
            emit(run_view, output, lambda: run_lines(run_view))
        else:
            job = client.cancel_job(id)
            emit(job, output, lambda: job_lines(job, SystemClock().utc_now()))


def leaderboard(
    context: typer.Context,
    *,
    metric: Annotated[str, typer.Option(help="What to rank by, such as p99_ms or throughput_rps.")] = "p99_ms",
    key: Annotated[str | None, typer.Option(help="Only this comparability key.")] = None,
    job: Annotated[str | None, typer.Option(help="Only records of this job.")] = None,
    model: Annotated[str | None, typer.Option(help="Only this model.")] = None,
    platform: Annotated[str | None, typer.Option(help="Only this serving platform.")] = None,
    team: Annotated[str | None, typer.Option(help="Only this team's.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, max=1000, help="Most rows of a group.")] = None,
    output: Output = Format.TABLE,
) -> None:
    """Rank records by a metric, only comparable ones together."""
    from cli.tables import leaderboard_lines

    with connected(context) as client:
        board = client.leaderboard(
            metric=metric,
            key=key,
            job_id=job,
            model=model,
            platform=platform,
            team=team,
            limit=None if limit is None else str(limit),
        )
    emit(board, output, lambda: leaderboard_lines(board))
