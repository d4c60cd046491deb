"""The shipped jobs ask for enough requests: every tail that a statement needs can be certified, at every rate."""

import numpy as np
import pytest

from benchmarks.paper.experiments import EXPERIMENTS, Experiment
from shared.jobs.document import read_job
from shared.jobs.sweep import expand
from shared.jobs.workload import PoissonWorkload
from shared.measure.certification import samples_needed
from shared.measure.independence import Worth
from shared.measure.latency import rank
from shared.measure.windows import window_of
from shared.testing.behaviour import Behaviour
from shared.testing.virtual_run import virtual_columns
from shared.workload.arrivals import make_plan

TAILS = [experiment for experiment in EXPERIMENTS if experiment.name.startswith("tail-latency-")]
SERVICE_MS = 10.0
"""Of one request, one at a time: more than any of these took here, so that neighbours meet more often."""
SIGMA = 0.3
SEEDS = range(10)
LONGEST_S = 360
START_S = 8.0
"""What it takes to start the slowest of the platforms with such a model, and to end it."""


def worth_of_p95(workload: PoissonWorkload, seed: int) -> float:
    """How many independent requests a run's window is worth at p95, before a server with one place, in virtual time."""
    plan = make_plan(workload.model_copy(update={"seed": seed}), 1)
    behaviour = Behaviour(service_ms=SERVICE_MS, sigma=SIGMA, serial=True, seed=seed)
    columns = virtual_columns(plan, behaviour, timeout_ns=3_600_000_000_000)
    inside = window_of(plan, 0).holds(columns["due_ns"])
    response_ns = np.asarray(columns["done_ns"] - columns["due_ns"])[inside]
    return Worth(response_ns).at(int(np.sort(response_ns)[rank(len(response_ns), 0.95) - 1]))


@pytest.mark.parametrize("experiment", TAILS, ids=lambda experiment: experiment.name)
def test_every_run_of_a_tail_experiment_certifies_its_p95(experiment: Experiment) -> None:
    """Though requests behind each other in a queue are worth less than as many alone."""
    runs = expand(read_job(experiment.job_file.read_text()))
    workloads = {run.spec.workload for run in runs if isinstance(run.spec.workload, PoissonWorkload)}
    assert workloads
    for workload in workloads:
        least = min(worth_of_p95(workload, seed) for seed in SEEDS)
        assert least >= samples_needed(0.95), f"{workload.rate:g} requests/s for {workload.duration / 1e9:g} s"


@pytest.mark.parametrize("experiment", TAILS, ids=lambda experiment: experiment.name)
def test_a_tail_experiment_takes_six_minutes_at_most(experiment: Experiment) -> None:
    """With its starts, and no longer than somebody waits for it."""
    workloads = [run.spec.workload for run in expand(read_job(experiment.job_file.read_text()))]
    seconds = [(load.warmup + load.duration) / 1e9 for load in workloads if isinstance(load, PoissonWorkload)]
    assert sum(seconds) + START_S * len(seconds) <= LONGEST_S


def test_what_was_shipped_before_was_too_short() -> None:
    """Five requests a second for 20 s cannot certify a p95, however they come."""
    old = PoissonWorkload.model_validate(
        {"pattern": "poisson", "rate": 5, "warmup": "2s", "duration": "20s", "seed": 1}
    )
    assert max(worth_of_p95(old, seed) for seed in SEEDS) < samples_needed(0.95)
