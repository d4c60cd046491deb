"""One step of a job's searches, from how the runs of its probes ended. Pure."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from leader.manage.blueprint import probe_run_id
from leader.perfdb.entities import Counts, Job, Run, Search, SearchProbe
from shared.jobs.lifecycle import UNSUCCESSFUL, RunState
from shared.jobs.spec import JobSpec
from shared.jobs.sweep import expand
from shared.jobs.workload import SearchWorkload
from shared.measure.record import Record
from shared.workload.search import Finished, NextProbe, Probe, next_step, probe_of

EXCUSABLE: Final = UNSUCCESSFUL | {RunState.INVALID}


@dataclass(frozen=True)
class Ended:
    """How the run of a probe ended, and what that says about its rate: nothing (None) where it was cancelled."""

    state: RunState
    probe: Probe | None


def search_specs(job: Job) -> dict[int, SearchWorkload]:
    """Point -> what is searched for there."""
    return {run.index: run.search for run in expand(JobSpec.model_validate(job.spec)) if run.search}


def open_probe(job: Job, search: Search) -> str | None:
    """The run that a search waits for; None where it has its end."""
    return None if search.end else probe_run_id(job, search, len(search.probes) - 1)


def ended(run: Run, record: Record | None) -> Ended | None:
    """What a probe's run came to; None while it goes on, or was measured and its record is not stored yet."""
    state = run.status.state
    if state is RunState.CANCELLED:
        return Ended(state, None)
    rate_rps = float(run.spec["workload"]["rate"])
    if state in UNSUCCESSFUL:
        reason = f"{run.status.cause}: {run.status.detail}" if run.status.detail else str(run.status.cause)
        return Ended(state, Probe(rate_rps, "failed", reason))
    if run.no_record is not None:
        return Ended(state, Probe(rate_rps, "failed", f"no record: {run.no_record}"))
    return Ended(state, _judged(record, rate_rps)) if state.has_record and record else None


def _judged(record: Record, rate_rps: float) -> Probe:
    try:
        return replace(probe_of(record), rate_rps=rate_rps)
    except ValueError as error:  # what a follower delivered is no measurement at this rate
        return Probe(rate_rps, "failed", str(error))


def stepped(job: Job, specs: Mapping[int, SearchWorkload], found: Mapping[str, Ended], now: datetime) -> Job | None:
    """The job with all that is ``found`` (run id -> end) taken in and every step that follows; None without news."""
    searches = tuple(_moved(job, search, specs[search.point], found, now) for search in job.searches)
    if searches == job.searches:
        return None
    grown = sum(len(search.probes) for search in searches) - sum(len(search.probes) for search in job.searches)
    return replace(
        job,
        searches=searches,
        searching=any(search.end is None for search in searches),
        run_count=job.run_count + grown,
    )


def _moved(job: Job, search: Search, spec: SearchWorkload, found: Mapping[str, Ended], now: datetime) -> Search:
    run_id = open_probe(job, search)
    end = found.get(run_id) if run_id else None
    if end is None:
        return search
    *before, last = search.probes
    probes = (*before, replace(last, ended=end.state, judged=end.probe))
    if end.probe is None:
        return replace(search, probes=probes, end=_cut_off(probes, f"run {run_id} was cancelled"))
    step = next_step(spec, [probe.judged for probe in probes if probe.judged])
    if isinstance(step, NextProbe):
        return replace(search, probes=(*probes, SearchProbe(rate_rps=step.rate_rps, decided_at=now)))
    return replace(search, probes=probes, end=step)


def _cut_off(probes: tuple[SearchProbe, ...], reason: str) -> Finished:
    """What is known where nobody wants to know more: no answer, but a bracket."""
    missed = [probe.rate_rps for probe in probes if probe.judged and probe.judged.outcome == "missed"]
    high = min(missed, default=None)
    met = [probe.rate_rps for probe in probes if probe.judged and probe.judged.outcome == "met"]
    low = max((rate for rate in met if high is None or rate < high), default=None)
    return Finished(None, low, high, reason)


def is_cut_off(job: Job, search: Search) -> bool:
    """Whether the search was cancelled, alone or with its job."""
    if search.end is None:
        return not job.searching
    return search.probes[-1].ended is RunState.CANCELLED


def excused(job: Job) -> Counts:
    """Runs whose bad end is not the job's: probes of searches that found their rate in spite of them."""
    found = [search for search in job.searches if search.end and search.end.rate_rps is not None]
    ends = (probe.ended for search in found for probe in search.probes)
    return Counter(end for end in ends if end in EXCUSABLE)
