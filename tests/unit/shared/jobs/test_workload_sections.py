"""What a workload section says of itself: how many requests it plans, and which keys contradict each other."""

import math
from typing import Any

import pytest
from pydantic import ValidationError
from support.workloads import EVERY_PATTERN, workload

from shared.errors import InvalidInput
from shared.jobs.schema import value_paths
from shared.jobs.spec import JobSpec, RunSpec
from shared.jobs.sweep import try_expand
from shared.jobs.workload import WorkloadSection
from shared.workload.arrivals import make_plan

RANDOM = {"poisson", "gamma", "mmpp", "mlperf"}


def run(workload_fields: dict[str, Any], **sections: Any) -> RunSpec:
    """A run with this workload."""
    return RunSpec.model_validate({"model": {"name": "m"}, "workload": workload_fields, **sections})


@pytest.mark.parametrize("pattern", ["constant", "ramp", "step", "spike", "sine"])
def test_the_planned_requests_are_those_of_the_plan(pattern: str) -> None:
    """Where arrivals are as even as the rate allows, the number is exact, warm-up included."""
    even = {} if pattern == "constant" else {"arrivals": "constant"}
    for duration in ("4s", "3600ms", "4700ms"):
        spec = workload(pattern=pattern, **{**EVERY_PATTERN[pattern], **even}, duration=duration)
        assert isinstance(spec, WorkloadSection)
        assert len(make_plan(spec, 1).due_ns) == math.ceil(spec.planned_requests() - 1e-6)


@pytest.mark.parametrize("pattern", sorted(RANDOM))
def test_the_planned_requests_are_the_mean_of_random_plans(pattern: str) -> None:
    """Fifty seeds of 50/s over 5 s, up to 12 standard errors of a bursty law."""
    specs = [workload(pattern=pattern, **EVERY_PATTERN[pattern], seed=seed) for seed in range(50)]
    counts = [len(make_plan(spec, 1).due_ns) for spec in specs]
    assert specs[0].planned_requests() == 250
    assert sum(counts) / 50 == pytest.approx(250, abs=50)


@pytest.mark.parametrize(
    ("fields", "key"),
    [
        ({"pattern": "constant", "rate": 1e6}, "rate"),
        ({"pattern": "poisson", "rate": 1e6}, "rate"),
        ({"pattern": "gamma", "rate": 1e6, "cv": 2}, "rate"),
        ({"pattern": "mmpp", "rate": 1e6, "burst_ratio": 2, "burst_share": 0.5, "burst_length": "1s"}, "rate"),
        ({"pattern": "ramp", "from_rate": 1, "to_rate": 1e6}, "to_rate"),
        ({"pattern": "step", "rates": [1, 1e6]}, "rates"),
        ({"pattern": "spike", "rate": 1, "spike_rate": 1e6, "spike_at": "0s", "spike_duration": "59s"}, "rate"),
        ({"pattern": "sine", "rate": 1e6, "amplitude": 0.5, "period": "7s"}, "rate"),
        ({"pattern": "mlperf", "scenario": "server", "rate": 1e6}, "rate"),
        ({"pattern": "search", "slo": {"p99_ms": 5}, "start_rate": 1e5, "max_rate": 1e6}, "start_rate"),
    ],
)
def test_more_than_can_be_planned_is_refused_for_every_pattern(fields: dict[str, Any], key: str) -> None:
    """Ten million requests is the limit, whatever the law, and the key that decides is named."""
    with pytest.raises(ValidationError, match="at most 10,000,000 can be planned") as caught:
        workload(**{**fields, "duration": "2m"})
    (error,) = caught.value.errors()
    assert [c.loc for c in error["ctx"]["contradictions"]] == [(key,)]


def test_a_last_swing_that_is_not_whole_counts() -> None:
    """Half a period above the mean: rate x (duration + amplitude x period / pi)."""
    spec = workload(pattern="sine", rate=100, amplitude=1.0, period="8s", warmup="0s", duration="4s")
    assert spec.planned_requests() == pytest.approx(100 * (4 + 8 / math.pi))


def test_multi_stream_goes_with_eight_samples_and_no_other_number() -> None:
    """MLPerf's query of that scenario has 8 samples; the other scenarios leave it open."""
    fields = {"pattern": "mlperf", "scenario": "multi-stream"}
    assert run(fields, requests={"batch_size": 8}).requests.batch_size == 8
    with pytest.raises(ValidationError, match="multi-stream sends 8 samples in each query"):
        run(fields, requests={"batch_size": 4})
    assert run({"pattern": "mlperf", "scenario": "single-stream"}, requests={"batch_size": 4})


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"slo": {"p99_ms": 5}}, "no load that could meet a limit"),
        ({"network": "lan"}, "over no link"),
        ({"service": {"platform": "endpoint", "url": "http://h:1"}}, "not ours to start"),
    ],
)
def test_a_cold_start_goes_with_nothing_that_needs_a_load(sections: dict[str, Any], message: str) -> None:
    """Refused where the file is read, at the section that does not fit."""
    with pytest.raises(ValidationError, match=message):
        run({"pattern": "cold-start"}, **sections)


def test_a_cold_start_has_no_plan() -> None:
    """Nothing arrives."""
    spec = run({"pattern": "cold-start", "repeats": 7}).workload
    assert (spec.load_ns, spec.planned_requests()) == (0, 0.0)
    with pytest.raises(InvalidInput, match="a cold start has no plan"):
        make_plan(spec, 1)


@pytest.mark.parametrize(
    ("pattern", "path", "values"),
    [
        ("closed", "workload.think_time", ["0s", "10ms"]),
        ("gamma", "workload.cv", [0.5, 1, 4]),
        ("mmpp", "workload.burst_share", [0.1, 0.5]),
        ("ramp", "workload.arrivals", ["poisson", "constant"]),
        ("spike", "workload.spike_rate", [10, 100]),
        ("sine", "workload.amplitude", [0.1, 1]),
        ("trace", "workload.speed", [1, 2, 8]),
        ("offline", "workload.requests", [10, 100]),
        ("constant", "workload.max_in_flight", [1, 64]),
    ],
)
def test_a_sweep_varies_the_keys_of_every_pattern(pattern: str, path: str, values: list[Any]) -> None:
    """A key of one pattern can be swept like any other, and each run has its value."""
    assert path in value_paths()
    job = JobSpec.model_validate(
        {
            "name": "j",
            "model": {"name": "m"},
            "workload": {"pattern": pattern, **EVERY_PATTERN[pattern]},
            "sweep": {path: values},
        }
    )
    runs, faults = try_expand(job)
    assert faults == []
    key = path.removeprefix("workload.")
    assert [one.spec.workload.model_dump(mode="json")[key] for one in runs] == values
