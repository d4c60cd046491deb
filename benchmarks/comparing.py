"""Are two servers that truly differ told apart, and two that do not left alone?"""

from collections import Counter
from collections.abc import Iterable
from typing import Final

import numpy as np

from benchmarks.figure import Figure
from shared.jobs.workload import ConstantWorkload
from shared.measure.compare import RunData, compare
from shared.measure.independence import BATCHES
from shared.measure.planning import lognormal_deviation, requests_needed
from shared.measure.record import PERCENTILES
from shared.testing.behaviour import log_normal
from shared.testing.virtual_run import virtual_columns
from shared.workload.arrivals import make_plan

DIFFERENCE: Final = 0.05
DIFFERING: Final = 100
EQUAL: Final = 1_000
"""More than of the others: so rare an event as one in a hundred cannot be told from a hundred."""

MEDIAN_MS: Final = 5.0
SIGMA: Final = 0.3
RATE: Final = 1_000
TIMEOUT_NS: Final = 3_600_000_000_000


def compare_power() -> Iterable[Figure]:
    """Of 100 comparisons, those that call a server slower by 5 % slower; of 1,000, those that tell equal ones apart.

    Golden log-normal servers in virtual time, one run a side with seeds of its own, as many requests as the planning
    asks for at this percentile. Bias: the planning is told the law; a real one has to learn it from a pilot run.
    """
    for name in ("p50", "p99"):
        requests = requests_needed(lognormal_deviation(SIGMA, PERCENTILES[name]), DIFFERENCE)
        differing = _outcomes(name, requests, MEDIAN_MS * (1 + DIFFERENCE), seeds=range(0, 2 * DIFFERING, 2))
        equal = _outcomes(name, requests, MEDIAN_MS, seeds=range(10_000, 10_000 + 2 * EQUAL, 2))
        yield Figure(
            name=f"compare at {name}: 5 % found, of {DIFFERING}",
            measured=differing["slower"],
            unit="",
            low=95,
            detail=f"{requests:,} requests a side; {_told(differing)}",
        )
        yield Figure(
            name=f"compare at {name}: false alarms in 100, of {EQUAL}",
            measured=(equal["slower"] + equal["faster"]) * 100 / EQUAL,
            unit="",
            high=1,
            detail=_told(equal),
        )


def _outcomes(name: str, requests: int, median_ms: float, *, seeds: Iterable[int]) -> Counter[str]:
    """What the comparison of B with this median against A says, over these seeds of A; B has the next."""
    outcomes: Counter[str] = Counter()
    for seed in seeds:
        a, b = _run(requests, MEDIAN_MS, seed), _run(requests, median_ms, seed + 1)
        outcomes[compare([a], [b], name).outcome] += 1
    return outcomes


def _run(requests: int, median_ms: float, seed: int) -> RunData:
    """One run in virtual time."""
    duration_ms = requests * 1000 // RATE
    workload = {"pattern": "constant", "rate": RATE, "warmup": "0s", "duration": f"{duration_ms}ms"}
    plan = make_plan(ConstantWorkload.model_validate(workload), 1)
    columns = virtual_columns(plan, log_normal(median_ms, SIGMA, seed=seed), timeout_ns=TIMEOUT_NS)
    response_ns = np.asarray(columns["done_ns"] - columns["due_ns"])
    parts = np.full(BATCHES, len(response_ns) // BATCHES, np.int64)
    return RunData(response_ns=response_ns, completed=parts, part_s=plan.duration_ns / 1e9 / BATCHES)


def _told(outcomes: Counter[str]) -> str:
    return ", ".join(f"{count} {outcome}" for outcome, count in sorted(outcomes.items()))
