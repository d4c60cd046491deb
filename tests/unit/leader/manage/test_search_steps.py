"""One step of a job's searches at a time, and the runs that follow from the job alone."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from leader.manage.blueprint import probe_run_id, runs_of, searches_of
from leader.manage.probes import Ended, ended, excused, is_cut_off, open_probe, search_specs, stepped
from leader.manage.views import counts_of, job_view, run_view
from leader.perfdb.entities import Job, Run
from shared.jobs.lifecycle import Cause, RunState
from shared.jobs.spec import JobSpec
from shared.jobs.sweep import expand
from shared.workload.search import Finished, Probe, ProbeOutcome

T0 = datetime(2026, 3, 1, tzinfo=UTC)
NOW = T0 + timedelta(seconds=90)


def job(**changes: Any) -> Job:
    """A stored job that searches from 10/s, with two probes at most unless told otherwise."""
    workload = {"pattern": "search", "slo": {"p99_ms": 50}, "start_rate": 10, "probes": changes.pop("probes", 2)}
    spec = JobSpec.model_validate(
        {"name": "a", "model": {"generate": {"family": "fc"}}, "workload": workload, **changes}
    )
    runs = expand(spec)
    return Job(
        id="j-01jd3v6x8k5m2n7p9q4r1s0t3w", owner="o", team=spec.team, name=spec.name, priority=spec.priority,
        idempotency_key="k", body_sha256="0", spec=spec.given(), run_count=len(runs), created_at=T0,
        searches=searches_of(runs, T0), searching=True,
    )  # fmt: skip


def told(
    found: Job, outcome: ProbeOutcome, *, point: int = 0, state: RunState = RunState.SUCCEEDED
) -> dict[str, Ended]:
    """The end of the probe that a point waits for."""
    search = next(search for search in found.searches if search.point == point)
    run_id = open_probe(found, search)
    assert run_id
    return {run_id: Ended(state, Probe(search.probes[-1].rate_rps, outcome, "because"))}


def after(found: Job, outcomes: Sequence[ProbeOutcome], *, point: int = 0) -> Job:
    """The job after a row of outcomes at one point."""
    for outcome in outcomes:
        moved = stepped(found, search_specs(found), told(found, outcome, point=point), NOW)
        assert moved is not None
        found = moved
    return found


def test_a_search_begins_with_one_run() -> None:
    """Its first probe, at the start rate; the same job always gives the same runs."""
    wanted = job()
    assert [run.spec["workload"]["rate"] for run in runs_of(wanted)] == [10.0]
    assert open_probe(wanted, wanted.searches[0]) == f"{wanted.id}.0000"
    assert runs_of(wanted) == runs_of(wanted)


def test_nothing_new_is_no_step() -> None:
    """While the run goes on, and after the end."""
    wanted = job()
    assert stepped(wanted, search_specs(wanted), {}, NOW) is None
    done = after(wanted, ["met", "met"])
    assert stepped(done, search_specs(done), told(wanted, "met"), NOW) is None


def test_a_met_probe_is_followed_by_a_higher_one() -> None:
    """An ordinary run with its own key, its time, and the index k * n + p."""
    wanted = after(job(sweep={"service.threads": [1, 2, 3]}, probes=4), ["met"], point=1)
    assert (wanted.run_count, wanted.searching) == (4, True)
    runs = runs_of(wanted)
    assert [run.index for run in runs] == [0, 1, 2, 4]
    assert [run.spec["workload"]["rate"] for run in runs] == [10.0, 10.0, 10.0, 20.0]
    assert runs[-1].point == {"service.threads": 2}
    assert (runs[-1].created_at, runs[0].created_at) == (NOW, T0)
    assert runs[-1].spec["slo"]["p99_ms"] == 50
    assert len({run.comparability_key for run in runs}) == 2
    assert runs[-1].id == probe_run_id(wanted, wanted.searches[1], 1)


def test_several_points_step_at_once() -> None:
    """Each by what it found; the indices do not depend on the order."""
    wanted = job(repeats=2, probes=4)
    found = {**told(wanted, "met", point=0), **told(wanted, "missed", point=1)}
    together = stepped(wanted, search_specs(wanted), found, NOW)
    assert together is not None
    one_by_one = after(after(wanted, ["missed"], point=1), ["met"], point=0)
    assert runs_of(together) == runs_of(one_by_one)
    assert {run.index: run.spec["workload"]["rate"] for run in runs_of(together)}.keys() == {0, 1, 2, 3}


def test_the_job_searches_until_the_last_point_has_its_end() -> None:
    """And counts no further runs for those that have."""
    wanted = after(job(repeats=2), ["met", "missed"], point=0)
    assert wanted.searches[0].end is not None
    assert wanted.searching
    wanted = after(wanted, ["met", "met"], point=1)
    assert (wanted.searching, wanted.run_count) == (False, 4)


@pytest.mark.parametrize(
    ("outcomes", "state", "rate_rps"),
    [
        (["met", "met"], "found", 20.0),
        (["met", "missed"], "found", 10.0),
        (["missed", "missed"], "not-found", None),
        (["undecided", "undecided"], "not-found", None),
    ],
)
def test_the_view_tells_the_answer(outcomes: list[ProbeOutcome], state: str, rate_rps: float | None) -> None:
    """With the bracket, the reason, and every probe."""
    wanted = after(job(), outcomes)
    (search,) = view_of(wanted, RunState.SUCCEEDED).searches
    assert (search.state, search.rate_rps) == (state, rate_rps)
    assert [probe.outcome for probe in search.probes] == outcomes
    assert search.probes[1].run_id == f"{wanted.id}.0001"
    assert search.reason


def view_of(found: Job, *states: RunState) -> Any:
    """The job's view with its runs in these states; the last one for all that follow."""
    runs = [in_state(run, states[min(n, len(states) - 1)]) for n, run in enumerate(runs_of(found))]
    return job_view(found, counts_of(runs), tuple(map(run_view, runs)))


def in_state(run: Run, state: RunState, **status: Any) -> Run:
    """The run as if it had got there."""
    return replace(run, status=run.status.model_copy(update={"state": state, **status}))


def test_a_job_that_searches_is_running_between_two_probes() -> None:
    """All of its runs have ended, and yet it has not."""
    wanted = job()
    assert view_of(wanted, RunState.QUEUED).state == "queued"
    view = view_of(wanted, RunState.SUCCEEDED)
    assert (view.state, view.searches[0].state) == ("running", "searching")
    assert view_of(after(wanted, ["met"]), RunState.SUCCEEDED).state == "running"
    assert view_of(after(wanted, ["met", "met"]), RunState.SUCCEEDED).state == "succeeded"


def test_a_probe_that_is_decided_on_and_not_stored_counts_as_queued() -> None:
    """So that the job cannot look finished in between."""
    wanted = after(job(), ["met"])
    (first, _) = runs_of(wanted)
    only = [in_state(first, RunState.SUCCEEDED)]
    view = job_view(wanted, counts_of(only), tuple(map(run_view, only)))
    assert (view.run_count, view.run_states[RunState.QUEUED], view.state) == (2, 1, "running")


def test_a_failed_probe_is_tried_once_more_and_then_ends_the_search() -> None:
    """Its cause is the reason; a job whose search found nothing for it has failed."""
    wanted = job(probes=5)
    for _ in range(2):
        moved = stepped(wanted, search_specs(wanted), told(wanted, "failed", state=RunState.FAILED), NOW)
        assert moved is not None
        wanted = moved
    assert [probe.rate_rps for probe in wanted.searches[0].probes] == [10.0, 10.0]
    view = view_of(wanted, RunState.FAILED)
    assert (view.state, view.searches[0].state) == ("failed", "not-found")
    assert "because" in view.searches[0].reason


@pytest.mark.parametrize(
    "state", [RunState.FAILED, RunState.TIMED_OUT, RunState.LOST, RunState.QUARANTINED, RunState.INVALID]
)
def test_a_bad_end_is_excused_where_the_rate_was_found_in_spite_of_it(state: RunState) -> None:
    """The answer is what the job was for."""
    wanted = after(job(), ["met"])
    done = stepped(wanted, search_specs(wanted), told(wanted, "failed", state=state), NOW)
    assert done is not None
    assert excused(done) == {state: 1}
    view = view_of(done, RunState.SUCCEEDED, state)
    assert (view.state, view.searches[0].rate_rps) == ("succeeded", 10.0)


def test_a_cancelled_probe_ends_its_search_without_an_answer() -> None:
    """The bracket that was known is told, and the other searches go on."""
    wanted = after(job(repeats=2, probes=5), ["met", "missed"])
    run_id = open_probe(wanted, wanted.searches[0])
    assert run_id
    cut = stepped(wanted, search_specs(wanted), {run_id: Ended(RunState.CANCELLED, None)}, NOW)
    assert cut is not None
    assert cut.searches[0].end == Finished(None, 10.0, 20.0, f"run {run_id} was cancelled")
    assert is_cut_off(cut, cut.searches[0])
    assert cut.searching
    assert view_of(cut, RunState.SUCCEEDED).searches[0].state == "cancelled"


def test_a_search_that_its_job_ended_is_cancelled() -> None:
    """Also where no run was left to cancel."""
    wanted = replace(after(job(), ["met"]), searching=False)
    view = view_of(wanted, RunState.SUCCEEDED)
    assert (view.state, view.searches[0].state) == ("cancelled", "cancelled")


@pytest.mark.parametrize(
    "state", [RunState.QUEUED, RunState.CLAIMED, RunState.RUNNING, RunState.SUCCEEDED, RunState.INVALID]
)
def test_a_run_that_goes_on_or_lacks_its_record_says_nothing(state: RunState) -> None:
    """The recorder comes first."""
    (run,) = runs_of(job())
    assert ended(in_state(run, state), None) is None


@pytest.mark.parametrize("state", [RunState.SUCCEEDED, RunState.INVALID])
def test_a_run_that_never_will_have_its_record_is_a_failed_probe(state: RunState) -> None:
    """Nobody waits for what cannot come."""
    (run,) = runs_of(job())
    lost = replace(in_state(run, state), no_record="the evidence was lost")
    assert ended(lost, None) == Ended(state, Probe(10.0, "failed", "no record: the evidence was lost"))


@pytest.mark.parametrize("state", [RunState.FAILED, RunState.TIMED_OUT, RunState.LOST, RunState.QUARANTINED])
def test_a_run_that_failed_for_good_is_a_failed_probe(state: RunState) -> None:
    """At its own rate, with cause and detail."""
    (run,) = runs_of(job())
    end = ended(in_state(run, state, cause=Cause.SERVER_DIED, detail="signal 9"), None)
    assert end == Ended(state, Probe(10.0, "failed", "server-died: signal 9"))
    assert ended(in_state(run, RunState.CANCELLED), None) == Ended(RunState.CANCELLED, None)
