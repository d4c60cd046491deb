"""Following a job to its end, and fetching what came of it."""

import time
from collections.abc import Callable, Sequence
from typing import Final

from cli.client import Client
from cli.progress import Reporter, changes, event_line, is_news
from cli.searches import search_news
from shared.errors import NotFound
from shared.measure.record import Record
from shared.wire.views import JobView, RecordView, RunView

FINAL: Final = {"succeeded", "invalid", "failed", "cancelled"}
_LOOK_EVERY_S: Final = 1.0
_RECORD_WITHIN_S: Final = 10.0  # a record is derived right after its run has succeeded
_RECORD_PAUSE_S: Final = 0.2


def follow_job(
    client: Client, job_id: str, reporter: Reporter, *, sleep: Callable[[float], None] = time.sleep
) -> JobView:
    """Reports until every run and every search has ended; the job as it stands then.

    The one run of a plain job is followed event by event; the many of a sweep or a search by their states.
    """
    job = client.job(job_id)
    if len(job.runs) == 1 and not job.searches:
        follow_run(client, job.runs[0], reporter)
        return client.job(job_id)
    before = None
    while True:
        for line in (*changes(before, job), *search_news(before, job)):
            reporter.line(line)
        ended = sum(run.state.is_terminal for run in job.runs)
        reporter.at(f"{ended} of {job.run_count} runs", ended / max(1, job.run_count))
        if job.state in FINAL:
            return job
        sleep(_LOOK_EVERY_S)
        before, job = job, client.job(job_id)


def follow_run(client: Client, run: RunView, reporter: Reporter) -> RunView:
    """Reports the run's events until its last one; the run as it stands then."""
    first = told = None
    for event in client.events(run.id):
        first = first or event
        if told is None or is_news(event, told):
            reporter.line(event_line(event, first))
            told = event
        reporter.at(event.kind, (event.at - first.at).total_seconds() / max(run.predicted_s, 1.0))
    return client.run(run.id)


def records_of(
    client: Client, runs: Sequence[RunView], *, sleep: Callable[[float], None] = time.sleep
) -> list[RecordView]:
    """The records of the runs that were measured, in the order of the runs."""
    return [_record_of(client, run.id, sleep) for run in runs if run.has_record]


def _record_of(client: Client, run_id: str, sleep: Callable[[float], None]) -> RecordView:
    for _ in range(round(_RECORD_WITHIN_S / _RECORD_PAUSE_S)):
        try:
            return client.record(run_id)
        except NotFound:
            sleep(_RECORD_PAUSE_S)
    return client.record(run_id)


def plain(records: Sequence[RecordView]) -> list[Record]:
    """The records themselves."""
    return [view.record for view in records]
