"""Verdicts on simulated queues: seldom a false alarm on stable ones, and overload found where there is one."""

from collections import Counter

import numpy as np
import pytest
from support.queues import SERVICES, Run, queue_run, run_of
from support.virtual_server import responses

from shared.measure.analyze import Measurement, analyze

SEEDS = 250


def measured(run: Run) -> Measurement:
    """The whole analysis."""
    return analyze(run.columns, run.plan, run.circumstances)


@pytest.mark.parametrize("services", SERVICES)
@pytest.mark.parametrize("requests", [500, 1500])
def test_stable_queues_are_called_stable(services: str, requests: int) -> None:
    """Utilisations from 0.3 to 0.8: at most 2 % of the runs drift or are overloaded, and 2 % give up some window."""
    kinds: Counter[str] = Counter()
    longer = 0
    for seed in range(SEEDS):
        utilisation = (0.3, 0.5, 0.65, 0.8)[seed % 4]
        result = measured(queue_run(seed, SERVICES[services], utilisation=utilisation, requests=requests))
        kinds[result.verdict.kind] += 1
        longer += result.warmup_s > 2.0
    assert kinds["stable"] >= 0.98 * SEEDS, kinds
    assert longer <= 0.02 * SEEDS


@pytest.mark.parametrize(("services", "requests"), [("M/M/1", 1500), ("M/D/1", 1000), ("M/G/1", 2500)])
def test_overload_is_found(services: str, requests: int) -> None:
    """At 1.2 times the capacity, in 99 % of the runs; the capacity is known as well as so many services allow."""
    found = [
        measured(queue_run(seed, SERVICES[services], utilisation=1.2, requests=requests)).verdict
        for seed in range(SEEDS)
    ]
    overloaded = [verdict for verdict in found if verdict.kind == "overloaded"]
    assert len(overloaded) >= 0.99 * SEEDS
    assert np.mean([verdict.capacity_rps for verdict in overloaded]) == pytest.approx(100 / 1.2, rel=0.02)


@pytest.mark.parametrize("pattern", ["constant", "poisson"])
def test_twice_the_capacity_is_overload_within_15_seconds(pattern: str) -> None:
    """50/s can be done, 100/s are offered for 15 s: OVERLOADED, 50 +- 2 %, and not one percentile claimed."""
    for seed in range(20):
        draw = np.random.default_rng(seed)
        due_s = np.arange(0, 15, 0.01) if pattern == "constant" else np.sort(draw.uniform(0, 15, 1500))
        run = run_of(due_s, responses(due_s, np.full(len(due_s), 0.02)), 0.0, 15.0, pattern=pattern, rate=100.0)
        result = measured(run)
        assert result.verdict.kind == "overloaded"
        assert result.verdict.capacity_rps == pytest.approx(50, rel=0.02)
        claimed = [*result.response_latency.percentiles.values(), *result.service_latency.percentiles.values()]
        assert {(found.ms, found.low_ms, found.high_ms, found.certified) for found in claimed} == {
            (None, None, None, False)
        }
        assert {found.reason for found in claimed} == {"overloaded: no steady latency exists"}
        assert result.warmup_s == 0.0


def test_a_stalling_server_is_slow_and_steady() -> None:
    """1 ms, frozen one second of every six, 100/s for a minute: p90, p95 and p99 as theory has them, and STABLE."""
    due_s = np.arange(0, 62, 0.01)
    phase = due_s % 6
    run = run_of(due_s, np.where(phase >= 5, 6 - phase, 0) + 0.001, 2.0, 62.0, pattern="constant", rate=100.0)
    result = measured(run)
    assert result.verdict.kind == "stable"
    for name, truth_ms in (("p90", 400), ("p95", 700), ("p99", 940)):
        found = result.response_latency.percentiles[name]
        exact = np.sort(np.where(phase >= 5, 6 - phase, 0)[due_s >= 2] + 0.001)
        rank = int(np.ceil(round(len(exact) * float(name[1:]) / 100, 6)))
        assert exact[rank - 1] * 1000 == pytest.approx(truth_ms, rel=0.05)
        assert found.ms is None or found.ms == pytest.approx(truth_ms, rel=0.05)


@pytest.mark.parametrize("pattern", ["ramp", "step", "spike", "sine", "trace", "mmpp"])
def test_a_load_that_changes_on_purpose_is_no_drift_and_may_be_overload(pattern: str) -> None:
    """A ramp from 20 to 80/s: the latencies of a server of 200/s change and that is all; one of 30/s is overloaded."""
    gaps = 1 / np.linspace(20, 80, 1000)
    due_s = np.cumsum(gaps)
    end_s = float(due_s[-1]) + 0.01
    draw = np.random.default_rng(1)
    quick = responses(due_s, draw.exponential(0.005, 1000))
    result = measured(run_of(due_s, quick, 0.0, end_s, pattern=pattern, rate=50.0))
    assert result.verdict.kind == "stable"
    assert result.verdict.latency_slope_p is None
    assert result.notes == (
        f"whether the run drifted was not judged: the load of pattern {pattern} is not level on purpose",
    )
    slow = responses(due_s, draw.exponential(1 / 30, 1000))
    assert measured(run_of(due_s, slow, 0.0, end_s, pattern=pattern, rate=50.0)).verdict.kind == "overloaded"
