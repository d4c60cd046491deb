"""The search against servers whose limit queueing theory knows, in virtual time.

A probe's window is measured in service times, because that is what decides how well it tells a percentile. Near
saturation the percentile moves much more than the rate, which helps: for M/M/1, a relative error e of the percentile
is an error of e * (1 - a) / a of the rate at utilisation a. At 60 to 75 % utilisation, p90 and p95 tell the rate
within 5 % from 20,000 service times for M/D/1, and from 50,000 for M/M/1, whose delays last longer.
"""

import math
from typing import Literal

import numpy as np
import pytest
from support.virtual_server import md1_limit_rate, mm1_limit_rate, poisson_arrivals, responses

from shared.jobs.workload import SearchWorkload
from shared.workload.search import Finished, NextProbe, Probe, next_step

SEEDS = 60
WINDOW = 50_000  # service times


def measured(rate: float, seed: int, q: float, *, fixed: bool) -> float:
    """The nearest-rank percentile of one probe, in service times."""
    draw = np.random.default_rng(seed)
    arrivals = poisson_arrivals(draw, rate, WINDOW)
    services = np.ones(len(arrivals)) if fixed else draw.exponential(1.0, len(arrivals))
    times = responses(arrivals, services)
    place = math.ceil(q * len(times)) - 1
    return float(np.partition(times, place)[place])


def found(
    seed: int, *, start: float, q: float, limit: float, fixed: bool, tells_capacity: bool
) -> tuple[Finished, int]:
    """The rate that a search over the simulated server ends with, and its number of probes."""
    spec = SearchWorkload.model_validate(
        {"pattern": "search", "slo": {"p90_ms": 1.0}, "start_rate": start, "warmup": "0s", "duration": f"{WINDOW}s"}
    )
    probes: list[Probe] = []
    while isinstance(step := next_step(spec, probes), NextProbe):
        rate = step.rate_rps
        assert rate not in {probe.rate_rps for probe in probes}
        if rate >= 1 and tells_capacity:
            probes.append(Probe(rate, "missed", capacity_rps=1.0))
        else:
            share = measured(rate, 100 * seed + len(probes), q, fixed=fixed) / limit if rate < 1 else math.inf
            probes.append(judged(rate, share))
    assert step.rate_rps is not None
    return step, len(probes)


def judged(rate: float, share: float) -> Probe:
    """A probe whose percentile came to this share of the limit; within 10 % of it, noise hides the side."""
    side: Literal["met", "missed"] = "met" if share <= 1 else "missed"
    return Probe(rate, "undecided", leans=side) if 0.9 < share < 1.1 else Probe(rate, side)


CASES = [
    # (q, limit in service times, start rate in requests per service time, service time fixed, overload is told)
    pytest.param(0.95, 4.0, 0.1, True, True, id="M/D/1, p95, from below"),
    pytest.param(0.90, 3.0, 0.5, True, True, id="M/D/1, p90, from close by"),
    pytest.param(0.95, 4.0, 0.003, True, True, id="M/D/1, p95, from 200 times below"),
    pytest.param(0.95, 4.0, 20.0, True, True, id="M/D/1, p95, from 30 times above"),
    pytest.param(0.95, 6.0, 0.05, True, False, id="M/D/1, p95, nothing but met and missed"),
    pytest.param(0.95, 10.0, 0.1, False, True, id="M/M/1, p95, from below"),
    pytest.param(0.90, 8.0, 0.02, False, True, id="M/M/1, p90, from 35 times below"),
]


@pytest.mark.parametrize(("q", "limit", "start", "fixed", "tells_capacity"), CASES)
def test_the_rate_is_found_within_five_percent(
    q: float, limit: float, start: float, fixed: bool, tells_capacity: bool
) -> None:
    """In at most 10 probes, in at least 95 of 100 searches; the interval is right in at least 90 of 100."""
    truth = md1_limit_rate(q, limit) if fixed else mm1_limit_rate(q, limit)
    ends = [
        found(seed, start=start, q=q, limit=limit, fixed=fixed, tells_capacity=tells_capacity) for seed in range(SEEDS)
    ]
    assert max(probes for _, probes in ends) <= 10
    close = [abs((end.rate_rps or 0) / truth - 1) <= 0.05 for end, _ in ends]
    assert sum(close) >= 0.95 * SEEDS
    inside = [(end.low_rps or 0) <= truth <= (end.high_rps or math.inf) for end, _ in ends]
    assert sum(inside) >= 0.9 * SEEDS


def test_the_analytic_rates_are_those_of_the_simulation() -> None:
    """A long run at the analytic rate has its percentile at the limit, within 3 %: the truth is true."""
    for q, limit in ((0.9, 3.0), (0.95, 4.0)):
        draw = np.random.default_rng(7)
        arrivals = poisson_arrivals(draw, md1_limit_rate(q, limit), 1_000_000)
        assert np.quantile(responses(arrivals, np.ones(len(arrivals))), q) == pytest.approx(limit, rel=0.03)
    arrivals = poisson_arrivals(draw, mm1_limit_rate(0.95, 10.0), 1_000_000)
    services = draw.exponential(1.0, len(arrivals))
    assert np.quantile(responses(arrivals, services), 0.95) == pytest.approx(10.0, rel=0.03)


def test_the_closed_form_queue_is_the_recursion() -> None:
    """Responses by cumulated sums equal those of a server that is simulated request by request."""
    draw = np.random.default_rng(3)
    arrivals, services = poisson_arrivals(draw, 0.9, 500), draw.exponential(1.0, 450)
    free, expected = 0.0, []
    for arrival, service in zip(arrivals, services, strict=True):
        free = max(free, arrival) + service
        expected.append(free - arrival)
    assert responses(arrivals, services) == pytest.approx(np.array(expected))
