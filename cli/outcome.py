"""How a job ended: its runs, their records, and the exit code that follows."""

from collections.abc import Sequence
from dataclasses import dataclass

from cli.client import Client
from cli.exits import ExitCode, exit_code_of
from cli.follow import plain, records_of
from cli.searches import other_runs, search_exit_code, search_lines
from cli.tables import results_table, run_lines
from cli.verdict import verdict_block
from shared.wire.views import JobView, Page, RecordView, RunView


@dataclass(frozen=True)
class Outcome:
    """A job that has ended."""

    job: JobView
    records: Sequence[RecordView]

    @property
    def exit_code(self) -> ExitCode:
        if self.job.searches:
            return search_exit_code(self.job, self.records)
        return exit_code_of(self.job.runs, plain(self.records))


def settle(client: Client, job: JobView) -> Outcome:
    """Fetches what came of a job that has ended."""
    return Outcome(job, records_of(client, job.runs))


def outcome_page(outcome: Outcome) -> JobView | Page[RecordView]:
    """The records as the API lists them; of a search the job, which has the answer."""
    if outcome.job.searches:
        return outcome.job
    return Page[RecordView](items=tuple(outcome.records))


def outcome_lines(outcome: Outcome) -> list[str]:
    """One run: its verdict block, or how it failed. Several: one line each. A search: its answer and its probes."""
    runs = outcome.job.runs
    if outcome.job.searches:
        others = other_runs(outcome.job)
        rest = results_table(others, outcome.records) if others else []
        return [*search_lines(outcome.job), *rest, f"one run in full: inferbench get {runs[0].id}"]
    if len(runs) > 1:
        return [*results_table(runs, outcome.records), f"one run in full: inferbench get {runs[0].id}"]
    if outcome.records:
        return _block(outcome.records[0], name=outcome.job.name)
    return [line for run in runs for line in run_lines(run)]


def run_and_verdict_lines(client: Client, run: RunView) -> list[str]:
    """A run as it stands; with its verdict block where there is one."""
    if not run.has_record:
        return run_lines(run)
    return _block(records_of(client, [run])[0])


def _block(view: RecordView, *, name: str = "") -> list[str]:
    return verdict_block(view.record, name=name, run_id=view.run_id, origin=view.reused_from)
