"""Searches for the highest rate: the answer first, then the probes. Views in, lines out."""

from collections.abc import Sequence
from datetime import datetime

from cli.exits import ExitCode, exit_code_of
from cli.quantities import printable
from cli.tables import job_lines, point_text, table
from shared.wire.views import JobView, ProbeView, RecordView, RunView, SearchView


def job_report(job: JobView, now: datetime) -> list[str]:
    """A job, what its searches found, and its runs."""
    heading, *runs = job_lines(job, now)
    return [heading, *search_lines(job), *runs]


def search_lines(job: JobView) -> list[str]:
    """One line for each search, then one table of all probes; nothing for a job that does not search."""
    if not job.searches:
        return []
    several = len(job.searches) > 1
    rows = [((_where(search),) if several else ()) + _row(probe) for search in job.searches for probe in search.probes]
    heads = (("POINT",) if several else ()) + ("PROBE", "REQ/S", "OUTCOME", "WHY")
    return [*(_answer(search, several=several) for search in job.searches), *table(heads, rows)]


def search_news(before: JobView | None, now: JobView) -> list[str]:
    """One line for each probe that came to its end between two looks at a job."""
    known = (
        {probe.run_id for search in before.searches for probe in search.probes if probe.outcome} if before else set()
    )
    told = (probe for search in now.searches for probe in search.probes if probe.outcome and probe.run_id not in known)
    return [
        printable(f"{probe.run_id}  {_rate(probe.rate_rps)} req/s: {_outcome(probe)}{_why(probe)}") for probe in told
    ]


def search_exit_code(job: JobView, records: Sequence[RecordView]) -> ExitCode:
    """Of a job that searched: a probe that missed the limits is no failure, a search without an answer is one."""
    if job.state == "cancelled":
        return ExitCode.CANCELLED
    if job.state not in ("succeeded", "invalid"):
        return ExitCode.FAILURE
    if job.state == "invalid" or any(search.state != "found" for search in job.searches):
        return ExitCode.NOT_SHOWN
    rest = other_runs(job)
    mine = {run.id for run in rest}
    return exit_code_of(rest, [view.record for view in records if view.run_id in mine])


def other_runs(job: JobView) -> list[RunView]:
    """The runs of a job that are no probes."""
    probes = {probe.run_id for search in job.searches for probe in search.probes}
    return [run for run in job.runs if run.id not in probes]


def _answer(search: SearchView, *, several: bool) -> str:
    where = f" · {_where(search)}" if several else ""
    return printable(f"{_told(search)}{where}{f' · {search.reason}' if search.reason else ''}")


def _told(search: SearchView) -> str:
    match search.state:
        case "found":
            return f"{_rate(search.rate_rps)} req/s is the highest rate found to meet the SLO{_bracket(search)}"
        case "not-found":
            return f"no rate was found that meets the SLO{_bracket(search)}"
        case "cancelled":
            probes = "a probe" if len(search.probes) == 1 else f"{len(search.probes)} probes"
            return f"cancelled after {probes}, without an answer{_bracket(search)}"
        case _:
            return f"searching, probe {len(search.probes)} at {_rate(search.probes[-1].rate_rps)} req/s"


def _bracket(search: SearchView) -> str:
    """Where the true limit is believed to lie; nothing where both sides are open."""
    low, high = _rate(search.low_rps), _rate(search.high_rps)
    if search.low_rps is not None and search.high_rps is not None:
        return f"; the limit lies between {low} and {high} req/s"
    if search.high_rps is not None:
        return f"; the limit lies below {high} req/s"
    return "" if search.low_rps is None else f"; the limit lies above {low} req/s"


def _row(probe: ProbeView) -> tuple[str, ...]:
    return (probe.run_id, _rate(probe.rate_rps), _outcome(probe), probe.reason or "-")


def _outcome(probe: ProbeView) -> str:
    return f"{probe.outcome}, leans to {probe.leans}" if probe.leans else probe.outcome or "-"


def _where(search: SearchView) -> str:
    repeat = f"repeat {search.repeat}" if search.repeat else ""
    return ", ".join(part for part in (point_text(search.point) if search.point else "", repeat) if part) or "repeat 0"


def _why(probe: ProbeView) -> str:
    """The first reason, which tells most; the table at the end has them all."""
    return f" ({probe.reason.partition('; ')[0]})" if probe.reason else ""


def _rate(rate_rps: float | None) -> str:
    return "-" if rate_rps is None else f"{rate_rps:g}"
