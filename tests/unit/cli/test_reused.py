"""A number that was not measured for a run never stands without its origin."""

from typing import Any

from support.records import JOB_ID, NOON, job_view, record, run_view

from cli.outcome import Outcome, outcome_lines
from cli.plans import plan_lines
from cli.progress import changes
from cli.tables import results_table, run_lines
from cli.verdict import COLUMNS, MAX_LINES, verdict_block
from shared.measure.record import SloCheck
from shared.wire.views import Eta, OriginView, PlannedRun, PlanView, RecordView

OTHER = "j-01jd3z8k5q2w9x7v6t4r3s2a1c.0003"
ORIGIN = OriginView(run_id=OTHER, follower="lab-1", measured_at=NOON)
TOLD = f"reused from run {OTHER} measured 2026-03-01 12:00 UTC on lab-1; nothing was run"


def test_the_verdict_of_a_reused_run_says_so_beside_its_name() -> None:
    """Its own id, then the origin; what else can be asked for is the origin's."""
    block = verdict_block(record(run_id=OTHER, attempt=2), run_id=f"{JOB_ID}.0000", origin=ORIGIN)
    assert block[0].startswith("verdict ")
    assert block[1] == f"run         {JOB_ID}.0000"
    assert block[2].startswith("origin      reused from run ")
    assert " ".join(" ".join(block[2:4]).split()).removeprefix("origin ") == TOLD
    assert max(map(len, block)) <= COLUMNS
    assert block[-1].endswith(OTHER)
    assert len(block) <= MAX_LINES


def test_the_outcome_of_a_job_whose_only_run_is_reused_is_that_block() -> None:
    """The exit code is that of the record, as if it had been measured now."""
    run = run_view(reused_from=ORIGIN, attempt=0, follower=None)
    unmet = record(run_id=OTHER, slo=(SloCheck(limit="p99_ms", allowed=1, measured=2, met=False),))
    outcome = Outcome(job_view(run), [RecordView(run_id=run.id, record=unmet, reused_from=ORIGIN)])
    assert any(line.startswith("origin ") for line in outcome_lines(outcome))
    assert outcome.exit_code == 3


def test_the_table_of_a_sweep_tells_each_runs_origin() -> None:
    """A column more, where any run is reused."""
    runs = [run_view(0), run_view(1, reused_from=ORIGIN)]
    views = [
        RecordView(run_id=runs[0].id, record=record()),
        RecordView(run_id=runs[1].id, record=record(run_id=OTHER), reused_from=ORIGIN),
    ]
    head, measured, reused = results_table(runs, views)
    assert head.endswith("MEASURED")
    assert measured.endswith("stable   here")
    assert reused.endswith(TOLD)
    assert reused.split()[3:5] == measured.split()[3:5] == ["14.0", "31.2"]


def test_a_run_by_itself_tells_its_origin() -> None:
    """Where others tell how they failed."""
    assert run_lines(run_view(reused_from=ORIGIN))[1].endswith(TOLD)


def test_whoever_follows_a_job_is_told_at_once() -> None:
    """In the line of the run, and only once."""
    job = job_view(run_view(0, reused_from=ORIGIN))
    assert changes(None, job) == [f"{JOB_ID}.0000  succeeded on local: {TOLD}"]
    assert changes(job, job) == []


def plan(*runs: PlannedRun, **changes: Any) -> PlanView:
    """A plan of these runs."""
    return PlanView(name="sweep", runs=runs, predicted_s=30, comparability_keys=("a",), **changes)


def planned(index: int, equal: int = 0, origin: OriginView | None = None) -> PlannedRun:
    """A run of 15 s of which ``equal`` records exist."""
    named = tuple(f"j-{number}" for number in range(min(equal, 5)))
    return PlannedRun(
        index=index, repeat=index, point={}, predicted_s=15, equal_runs=named, equal_count=equal, reused_from=origin
    )


def test_a_plan_names_what_was_measured_before() -> None:
    """Five at most, and how many more; and how to use them."""
    lines = plan_lines(plan(planned(0, 7), planned(1, 1), planned(2)))
    assert lines[0].endswith("EQUAL RUNS")
    assert lines[1].endswith("j-0, j-1, j-2, j-3, j-4 and 2 more")
    assert lines[2].endswith("  j-0")
    assert lines[3].endswith("  -")
    assert lines[-1] == "2 of 3 runs were measured before; `reuse: if-equal` takes their numbers"


def test_a_plan_tells_which_runs_are_not_run_again() -> None:
    """And predicts no time for them."""
    origin = ORIGIN.model_copy(update={"run_id": "j-0"})
    lines = plan_lines(plan(planned(0, 1, origin), planned(1, 2, origin), planned(2, 0, ORIGIN), reuse="extend"))
    assert lines[1].split() == ["0", "0", "-", "-", "reuses", "j-0"]
    assert lines[2].endswith("reuses j-0; equal: j-0, j-1")
    assert lines[3].endswith(f"reuses {OTHER}")
    assert lines[-1] == "reuse extend: 3 of 3 runs are not run again"


def test_a_plan_tells_the_wait_or_why_none_is_in_sight() -> None:
    """Both quantiles of the first start and of the last end."""
    times = {"starts_in": Eta(p50_s=10, p90_s=20), "ends_in": Eta(p50_s=30, p90_s=40)}
    assert plan_lines(plan(planned(0), **times, forecast="1 before"))[-1] == (
        "submitted now: the first starts in 10 s (p90 20 s), the last ends in 30 s (p90 40 s); 1 before"
    )
    assert plan_lines(plan(planned(0), forecast="nobody can"))[-1] == (
        "submitted now: no start is in sight; nobody can"
    )
