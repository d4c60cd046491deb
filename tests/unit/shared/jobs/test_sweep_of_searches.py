"""A search in a job: its first probes, how they combine with sweep and repeats, and what keeps it from being run."""

from typing import Any

import pytest

from shared.errors import InvalidJobFile
from shared.jobs.document import read_job
from shared.jobs.slo import SloSpec
from shared.jobs.spec import JobSpec
from shared.jobs.sweep import MAX_RUNS, expand
from shared.jobs.workload import ConstantWorkload, PoissonWorkload, SearchWorkload

SEARCH: dict[str, Any] = {"pattern": "search", "slo": {"p99_ms": 50}, "start_rate": 20, "duration": "5s", "seed": 7}


def job(**changes: Any) -> JobSpec:
    """A small job that searches."""
    workload = {**SEARCH, **changes.pop("workload", {})}
    base = {"name": "demo", "model": {"generate": {"family": "fc"}}, "workload": workload}
    return JobSpec.model_validate({**base, **changes})


def test_a_search_becomes_its_first_probe() -> None:
    """An ordinary Poisson run at the start rate, with the search's window, seed and limits."""
    (run,) = expand(job())
    assert isinstance(run.spec.workload, PoissonWorkload)
    assert (run.spec.workload.rate, run.spec.workload.duration, run.spec.workload.seed) == (20.0, 5 * 10**9, 7)
    assert run.spec.slo == SloSpec(p99_ms=50)
    assert (run.index, run.most_runs) == (0, 10)
    assert isinstance(run.search, SearchWorkload)


def test_probes_arrive_as_the_search_says() -> None:
    """Evenly, where it says so."""
    (run,) = expand(job(workload={"arrivals": "constant"}))
    assert isinstance(run.spec.workload, ConstantWorkload)


def test_each_point_and_repeat_is_a_search_of_its_own() -> None:
    """Limits may be swept like anything else, and each repeat has its own seed."""
    runs = expand(job(sweep={"service.threads": [1, 2], "workload.slo.p99_ms": [10, 20]}, repeats=2))
    assert [run.index for run in runs] == list(range(8))
    assert [run.spec.slo.p99_ms for run in runs if run.spec.slo] == [10, 20] * 4
    assert [run.spec.workload.seed for run in runs] == [7] * 4 + [8] * 4
    assert [run.search.seed for run in runs if run.search] == [7] * 4 + [8] * 4


def test_the_first_probe_stays_below_the_highest_rate() -> None:
    """Also where both are the same."""
    (run,) = expand(job(workload={"start_rate": 30, "max_rate": 30}))
    assert run.spec.workload.planned_requests() == 30 * 7


def test_more_probes_than_a_job_may_have_runs_are_refused() -> None:
    """Counted as if every search needed all of its probes."""
    values = list(range(1, MAX_RUNS // 10 + 2))
    assert len(expand(job(sweep={"service.threads": values[:-1]}))) == MAX_RUNS // 10
    with pytest.raises(InvalidJobFile) as refused:
        expand(job(sweep={"service.threads": values}))
    (problem,) = refused.value.problems
    assert (problem.path, problem.found) == ("workload", "1010")
    assert "101 searches may take 1,010 runs" in problem.message


def test_limits_beside_the_searchs_own_are_refused() -> None:
    """A probe has one set of limits: nothing is dropped in silence."""
    with pytest.raises(InvalidJobFile) as refused:
        expand(job(slo={"p50_ms": 5}))
    assert refused.value.problems[0].path == "slo"
    assert len(expand(job(slo={"p99_ms": 50}))) == 1


@pytest.mark.parametrize(
    ("workload", "path"),
    [
        ("{pattern: search, slo: {}}", "workload.slo"),
        ("{pattern: search}", "workload.slo"),
        ("{pattern: search, slo: {p99_ms: 5}, start_rate: 10, max_rate: 5}", "workload.start_rate"),
        ("{pattern: search, slo: {p99_ms: 5}, probes: 11}", "workload.probes"),
        ("{pattern: search, slo: {p99_ms: 5}, precision: 0}", "workload.precision"),
    ],
)
def test_a_search_that_cannot_be_is_told_with_its_place(workload: str, path: str) -> None:
    """Without limits, without limits at all, from above the highest rate, with too many probes, infinitely precise."""
    text = f"name: s\nmodel: {{generate: {{family: fc}}}}\nworkload: {workload}\n"
    with pytest.raises(InvalidJobFile) as refused:
        read_job(text)
    assert [(problem.path, problem.line) for problem in refused.value.problems] == [(path, 3)]
