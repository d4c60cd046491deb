"""A search as people see it: the answer first, then how it was found."""

from typing import Any

import pytest
from support.records import JOB_ID, NOON, job_view, record, run_view

from cli.outcome import Outcome, outcome_lines, outcome_page
from cli.plans import plan_lines
from cli.searches import job_report, search_exit_code, search_lines, search_news
from cli.tables import datasets_table
from shared.jobs.lifecycle import RunState
from shared.measure.record import SloCheck
from shared.wire.views import DatasetView, JobView, PlannedRun, PlanView, ProbeView, RecordView, SearchView


def shown(index: int) -> RecordView:
    """The record of a run that misses its limit, measured by another."""
    unmet = record(slo=(SloCheck(limit="p99_ms", allowed=1, measured=2, met=False),), run_id="j-other.0000")
    return RecordView(run_id=f"{JOB_ID}.{index:04d}", record=unmet)


def probe(number: int, rate_rps: float, outcome: Any = None, reason: str = "") -> ProbeView:
    """One of the job's probes."""
    return ProbeView(run_id=f"{JOB_ID}.{number:04d}", rate_rps=rate_rps, outcome=outcome, reason=reason)


def search(*probes: ProbeView, state: Any = "found", **more: Any) -> SearchView:
    """A search with these probes."""
    return SearchView(state=state, probes=probes, **more)


FOUND = search(
    probe(0, 10, "met", "p99_ms 30 (limit 50)"), probe(1, 20.5, "missed", "p99_ms 90 (limit 50)"),
    rate_rps=10, low_rps=10, high_rps=20.5, reason="all 2 probes are used",
)  # fmt: skip


def job(*searches: SearchView, state: str = "succeeded", **more: Any) -> JobView:
    """A job with these searches, and a run for each of their probes."""
    ids = [probe.run_id for search in searches for probe in search.probes]
    runs = [run_view(number, id=run_id) for number, run_id in enumerate(ids)]
    return job_view(*runs, state=state, searches=searches, **more)


def test_the_answer_comes_first_and_then_every_probe() -> None:
    """The rate, what limits it, why the search ended; then rate, outcome and reason of each probe."""
    assert search_lines(job(FOUND)) == [
        (
            "10 req/s is the highest rate found to meet the SLO; the limit lies between 10 and 20.5 req/s"
            " · all 2 probes are used"
        ),
        "PROBE                              REQ/S  OUTCOME  WHY",
        f"{JOB_ID}.0000  10     met      p99_ms 30 (limit 50)",
        f"{JOB_ID}.0001  20.5   missed   p99_ms 90 (limit 50)",
    ]


@pytest.mark.parametrize(
    ("found", "told"),
    [
        (
            search(probe(0, 10, "met"), rate_rps=10, low_rps=10),
            "10 req/s is the highest rate found to meet the SLO; the limit lies above 10 req/s",
        ),
        (search(probe(0, 10, "undecided"), rate_rps=10), "10 req/s is the highest rate found to meet the SLO"),
        (
            search(probe(0, 10, "missed"), state="not-found", high_rps=10),
            "no rate was found that meets the SLO; the limit lies below 10 req/s",
        ),
        (search(probe(0, 10), state="searching"), "searching, probe 1 at 10 req/s"),
        (search(probe(0, 10), state="cancelled"), "cancelled after a probe, without an answer"),
        (
            search(probe(0, 10, "met"), probe(1, 20), state="cancelled", reason="run x was cancelled"),
            "cancelled after 2 probes, without an answer · run x was cancelled",
        ),
    ],
)
def test_a_search_without_a_full_answer_says_so(found: SearchView, told: str) -> None:
    """Not reached, not found, not yet, or not any more."""
    assert search_lines(job(found))[0] == told


def test_a_probe_that_leans_says_to_which_side() -> None:
    """Noise hides the side, and the search goes on all the same."""
    leaning = probe(0, 10, "undecided", "p99_ms 49 (limit 50)").model_copy(update={"leans": "met"})
    open_ = job(search(probe(0, 10), state="searching"))
    assert "undecided, leans to met  p99_ms 49" in search_lines(job(search(leaning)))[-1]
    assert search_news(open_, job(search(leaning))) == [
        f"{JOB_ID}.0000  10 req/s: undecided, leans to met (p99_ms 49 (limit 50))"
    ]


def test_several_searches_are_told_apart_by_point_and_repeat() -> None:
    """One line each, and one table for all of them."""
    lines = search_lines(
        job(FOUND.model_copy(update={"point": {"service.threads": 2}}), FOUND.model_copy(update={"repeat": 1}))
    )
    assert [line.split(" · ")[1] for line in lines[:2]] == ["service.threads=2", "repeat 1"]
    assert lines[2].split() == ["POINT", "PROBE", "REQ/S", "OUTCOME", "WHY"]
    assert len(lines) == 2 + 1 + 4


def test_a_reason_cannot_break_its_line() -> None:
    """What a follower says is shown, not obeyed."""
    lines = search_lines(job(search(probe(0, 10, "failed", "x\n\x1b[0m"), state="not-found", reason="y\nz")))
    assert all("\n" not in line and "\x1b" not in line for line in lines)


def test_a_job_that_does_not_search_has_no_such_lines() -> None:
    """Its report is heading and runs."""
    assert search_lines(job_view(run_view())) == []
    assert len(job_report(job_view(run_view()), NOON)) == 3


def test_a_job_is_reported_with_the_answer_before_its_runs() -> None:
    """The heading, the answer, the probes, the runs."""
    lines = job_report(job(FOUND), NOON)
    assert lines[0].startswith(JOB_ID)
    assert lines[1].startswith("10 req/s is the highest")
    assert lines[5].split()[:2] == ["RUN", "STATE"]
    assert len(lines) == 1 + 4 + 3


def test_each_probe_is_news_once() -> None:
    """When its outcome is there, with the reason that tells most, and not again."""
    early = job(search(probe(0, 10), state="searching"), state="running")
    met = probe(0, 10, "met", "p99_ms 30; p50_ms 2")
    later = job(search(met, probe(1, 20), state="searching"), state="running")
    assert search_news(None, early) == []
    assert search_news(early, later) == [f"{JOB_ID}.0000  10 req/s: met (p99_ms 30)"]
    assert search_news(later, later) == []


@pytest.mark.parametrize(
    ("state", "searches", "expected"),
    [
        ("succeeded", [FOUND], 0),
        ("succeeded", [FOUND, search(probe(0, 10, "missed"), state="not-found")], 3),
        ("failed", [search(probe(0, 10, "failed"), state="not-found")], 1),
        ("invalid", [search(probe(0, 10, "failed"), state="not-found")], 3),
        ("cancelled", [search(probe(0, 10), state="cancelled")], 130),
    ],
)
def test_the_exit_code_is_that_of_the_answer(state: str, searches: list[SearchView], expected: int) -> None:
    """Probes that miss the limits are how a search works, so they do not count."""
    assert search_exit_code(job(*searches, state=state), [shown(0)]) == expected


def test_runs_that_are_no_probes_count_as_ever() -> None:
    """Their unmet limits are unmet."""
    other = run_view(7, id=f"{JOB_ID}.0007")
    both = job(FOUND)
    both = both.model_copy(update={"runs": (*both.runs, other)})
    assert search_exit_code(both, [shown(0)]) == 0
    assert search_exit_code(both, [shown(7)]) == 3


def test_the_outcome_of_a_search_is_its_job() -> None:
    """For people the answer and the probes, for programs the job as the API shows it."""
    outcome = Outcome(job(FOUND), [RecordView(run_id=f"{JOB_ID}.0000", record=record())])
    assert outcome.exit_code == 0
    assert outcome_page(outcome) == outcome.job
    lines = outcome_lines(outcome)
    assert lines[0].startswith("10 req/s is the highest")
    assert lines[-1] == f"one run in full: inferbench get {JOB_ID}.0000"
    assert len(lines) == 4 + 1


def test_a_failed_run_beside_a_search_is_shown() -> None:
    """In the table of runs, beneath the probes."""
    both = job(FOUND)
    both = both.model_copy(update={"runs": (*both.runs, run_view(7, RunState.FAILED, id=f"{JOB_ID}.0007"))})
    assert any(line.split()[:2] == [f"{JOB_ID}.0007", "failed"] for line in outcome_lines(Outcome(both, [])))


def test_a_plan_of_a_search_says_at_most() -> None:
    """It may know sooner."""
    run = PlannedRun(index=0, repeat=0, point={}, most_runs=10, predicted_s=120)
    plan = PlanView(name="s", runs=(run,), predicted_s=120, is_upper_bound=True, comparability_keys=("a",))
    lines = plan_lines(plan)
    assert lines[0].split() == ["RUN", "REPEAT", "PREDICTED", "POINT", "PROBES"]
    assert lines[1].endswith("up to 10")
    assert "<=" in lines[1]
    assert lines[-1].startswith("s: at most 10 runs, at most ")


def test_datasets_and_traces_are_told_apart() -> None:
    """By kind; a trace tells its arrivals, what is not ready its state, what is refused why."""
    trace = DatasetView(name="t", version=1, builtin=False, kind="trace", size_bytes=10, requests=4, span_s=30)
    refused = DatasetView(name="r", version=2, builtin=False, state="refused", detail="line 3: nan")
    lines = datasets_table([trace, refused])
    assert lines[1].split()[:4] == ["t", "1", "trace", "uploaded"]
    assert "4 arrivals over 30" in lines[1]
    assert lines[2].split()[:4] == ["r", "2", "-", "refused"]
    assert lines[2].endswith("line 3: nan")
