"""A sweep's runs: which, in what order, with which seeds, and what keeps a sweep from being run."""

import json
import time
from typing import Any

import pytest

from shared.errors import InvalidJobFile, Problem
from shared.jobs.network import NetworkLink
from shared.jobs.spec import JobSpec, RunSpec
from shared.jobs.sweep import MAX_RUNS, expand


def job(**changes: Any) -> JobSpec:
    """A small valid job with changes."""
    base: dict[str, Any] = {
        "name": "demo",
        "model": {"generate": {"family": "attention", "width": 64, "heads": 4}},
        "workload": {"pattern": "poisson", "rate": 10, "seed": 7},
    }
    return JobSpec.model_validate({**base, **changes})


def problems_of(**changes: Any) -> list[Problem]:
    """What is said about the sweep of a job that is otherwise right."""
    with pytest.raises(InvalidJobFile) as caught:
        expand(job(**changes))
    return list(caught.value.problems)


def test_a_plain_job_has_one_run_which_is_the_job() -> None:
    """Without sweep and repeats, the run is the configuration of the file."""
    (run,) = expand(job())
    assert (run.index, run.repeat, run.point) == (0, 0, {})
    assert run.spec.model_dump() == {
        key: value for key, value in job().model_dump().items() if key in run.spec.model_dump()
    }


def test_a_plain_jobs_run_is_what_validating_its_sections_anew_gives() -> None:
    """Taking over the job's validated sections loses nothing, not even what the file left to its defaults."""
    plain = job(slo={"p99_ms": 50}, requires={"labels": {"zone": "lab"}})
    sections = {name: value for name, value in plain.given().items() if name in RunSpec.model_fields}
    anew = RunSpec.model_validate(sections)
    (run,) = expand(plain)
    assert run.spec == anew
    assert run.spec.model_fields_set == anew.model_fields_set
    assert run.spec.model_dump_json() == anew.model_dump_json()


def test_the_runs_are_the_product_of_all_values_in_a_known_order() -> None:
    """The last path varies fastest, and each run carries its point."""
    runs = expand(job(sweep={"service.threads": [1, 2], "workload.rate": [10, 20, 30]}))
    assert [(run.point["service.threads"], run.point["workload.rate"]) for run in runs] == [
        (1, 10), (1, 20), (1, 30), (2, 10), (2, 20), (2, 30),
    ]  # fmt: skip
    assert [(run.spec.service.threads, run.spec.workload.model_dump()["rate"]) for run in runs][4] == (2, 20.0)
    assert [run.index for run in runs] == list(range(6))


def test_the_order_of_the_runs_does_not_depend_on_the_order_of_the_keys() -> None:
    """A store or a client that sorts the keys of a mapping does not renumber the runs."""
    sweep = {"workload.rate": [30, 10], "service.threads": [2, 1]}
    assert expand(job(sweep=sweep)) == expand(job(sweep=dict(sorted(sweep.items()))))
    assert expand(job(sweep=sweep))[0].point == {"service.threads": 2, "workload.rate": 30}


def test_a_stored_job_has_the_same_runs_as_the_one_that_was_submitted() -> None:
    """Stored as given: another family of a sweep gets its own defaults, not those of the first one."""
    submitted = job(
        model={"generate": {"family": "fc"}},
        sweep={"model.generate.family": ["fc", "lstm", "attention"], "service.threads": [1, 2]},
        repeats=2,
    )
    stored = json.loads(json.dumps(submitted.given(), sort_keys=True))
    assert expand(JobSpec.model_validate(stored)) == expand(submitted)
    widths = [run.spec.model.model_dump()["generate"]["width"] for run in expand(submitted)]
    assert widths[:6:2] == [512, 256, 256]


def test_repeats_are_interleaved_and_each_has_its_own_seed() -> None:
    """All points once, then all points again with other arrivals of the same law."""
    runs = expand(job(repeats=3, sweep={"service.threads": [1, 2]}))
    assert [(run.index, run.repeat, run.point["service.threads"]) for run in runs] == [
        (0, 0, 1), (1, 0, 2), (2, 1, 1), (3, 1, 2), (4, 2, 1), (5, 2, 2),
    ]  # fmt: skip
    assert [run.spec.workload.seed for run in runs] == [7, 7, 8, 8, 9, 9]


def test_the_largest_seed_has_a_successor() -> None:
    """Repeats of a job with the largest seed go on from 0 instead of leaving the range of the schema."""
    largest = 2**63 - 1
    runs = expand(job(repeats=2, workload={"pattern": "closed", "seed": largest}))
    assert [run.spec.workload.seed for run in runs] == [largest, 0]


def test_a_section_that_the_file_leaves_out_can_be_swept() -> None:
    """The path is what counts, not whether the file has it."""
    runs = expand(job(sweep={"service.batching.max_batch_size": [1, 8], "slo.p99_ms": [50]}))
    assert [run.spec.service.batching.max_batch_size for run in runs] == [1, 8]
    assert all(run.spec.slo and run.spec.slo.p99_ms == 50 for run in runs)


def test_a_profile_gives_place_to_the_numbers_of_a_link() -> None:
    """Sweeping one number of the link under a profile asks for a link with that number."""
    runs = expand(job(network="lte", sweep={"network.delay_ms": [0, 50]}))
    assert [run.spec.network for run in runs] == [NetworkLink(delay_ms=0), NetworkLink(delay_ms=50)]


def test_variants_can_be_swept_where_the_given_keys_fit_them_all() -> None:
    """Keys that only have defaults do not stand in the way of another family."""
    runs = expand(
        job(model={"generate": {"family": "fc", "width": 64}}, sweep={"model.generate.family": ["fc", "lstm"]})
    )
    assert [run.spec.model.model_dump()["generate"]["family"] for run in runs] == ["fc", "lstm"]


def test_durations_are_swept_as_they_are_written() -> None:
    """A swept value is read exactly as it would be in its own place."""
    runs = expand(job(sweep={"workload.duration": ["5s", "1m"]}))
    assert [run.spec.model_dump()["workload"]["duration"] for run in runs] == ["5s", "1m"]


@pytest.mark.parametrize(
    ("path", "suggestion"),
    [
        ("service.batching.max_batchsize", "service.batching.max_batch_size"),
        ("max_batch_size", "service.batching.max_batch_size"),
        ("rate", "workload.rate"),
        ("workload.rte", "workload.rate"),
        ("service.treads", "service.threads"),
        ("batching.max_delay_ms", "service.batching.max_delay_ms"),
    ],
)
def test_an_unknown_path_is_told_with_the_one_that_was_meant(path: str, suggestion: str) -> None:
    """A path that ends right, or is spelt nearly right, is found again."""
    (problem,) = problems_of(sweep={path: [1]})
    assert (problem.path, problem.suggestion) == (f"sweep.{path}", suggestion)


@pytest.mark.parametrize(
    "path", ["repeats", "name", "sweep", "pipeline.preprocess", "service", "service.batching", "", "."]
)
def test_a_path_that_is_no_single_value_of_a_run_is_refused(path: str) -> None:
    """Sections, lists, and keys of the job cannot be varied from run to run."""
    (problem,) = problems_of(sweep={path: [1]})
    assert problem.path.startswith("sweep")


def test_a_path_and_what_contains_it_cannot_both_be_swept() -> None:
    """One of them would overwrite the other."""
    (problem,) = problems_of(sweep={"network": ["none", "lan"], "network.delay_ms": [1]})
    assert "cannot be swept together with network" in problem.message


def test_a_wrong_value_is_told_once_at_its_entry() -> None:
    """However many points have it, the entry is wrong once."""
    (problem,) = problems_of(sweep={"workload.rate": [10, -1, 20], "service.threads": [1, 2, 3, 4]})
    assert problem.path == "sweep.workload.rate[1]"
    assert problem.message == "-1 is out of range"


def test_values_that_are_wrong_only_together_are_told_with_their_point() -> None:
    """Each is right by itself, so the point is named."""
    (problem,) = problems_of(sweep={"model.generate.heads": [4, 8], "model.generate.width": [64, 36]})
    assert "width 36 is not a multiple of heads 8" in problem.message
    assert "model.generate.heads = 8" in problem.message


def test_a_value_that_contradicts_the_rest_of_the_file_is_told_at_its_entry() -> None:
    """The message says which other key it does not go with."""
    (problem,) = problems_of(requires={"device": "cpu"}, sweep={"service.device": ["cpu", "cuda"]})
    assert problem.path == "sweep.service.device[1]"
    assert "requires.device: cpu contradicts service.device cuda" in problem.message


def test_a_value_listed_twice_is_refused() -> None:
    """Two equal runs are what `repeats` is for; 1 and 1.0 are two spellings, true is no number."""
    (problem,) = problems_of(sweep={"service.threads": [1, 2, 1]})
    assert problem.path == "sweep.service.threads[2]"


def test_the_largest_sweep_is_run_and_one_more_is_refused() -> None:
    """The limit counts points times repeats."""
    assert len(expand(job(repeats=2, sweep={"workload.rate": list(range(1, 501))}))) == MAX_RUNS
    (problem,) = problems_of(repeats=2, sweep={"workload.rate": list(range(1, 502))})
    assert problem.message == "501 points x 2 repeats = 1,002 runs are too many for one job"


def test_a_sweep_of_very_many_points_is_refused_without_building_them() -> None:
    """Counting is a product of lengths: 10^20 points cost no more than ten."""
    paths = ["workload.rate", "service.threads", "service.instances", "requests.batch_size", "requests.distinct"]
    numbers = list(range(1, 10_001))
    started = time.process_time_ns()
    (problem,) = problems_of(sweep=dict.fromkeys(paths, numbers))
    assert problem.found == str(10_000**5)
    assert time.process_time_ns() - started < 1_000_000_000


def test_a_thousand_wrong_points_are_told_in_a_few_lines() -> None:
    """The first twenty faults and a count."""
    told = problems_of(
        model={"generate": {"family": "attention", "width": 8192, "heads": 1}},
        sweep={"model.generate.heads": [3, 5, 7, 9, 11, 13], "model.generate.width": list(range(1001, 1051, 2))},
    )
    assert len(told) == 21
    assert "more faults" in told[-1].message
