"""How often comparisons are right: false alarms and findings over many seeded pairs, in virtual time."""

import math
from collections import Counter

import numpy as np
import numpy.typing as npt
import pytest
from support.virtual_server import poisson_arrivals, responses

from shared.measure.compare import RunData, compare
from shared.measure.planning import lognormal_deviation, requests_needed

SIGMA = 0.5
ALARMS = ("faster", "slower")


def data(latencies_ms: npt.NDArray[np.float64]) -> RunData:
    """A run of these latencies."""
    return RunData(np.rint(1e6 * latencies_ms).astype(np.int64), np.ones(30, np.int64), 1.0)


def golden(draw: np.random.Generator, n: int, factor: float = 1.0) -> RunData:
    """A log-normal server around 10 ms."""
    return data(factor * draw.lognormal(math.log(10), SIGMA, n))


@pytest.mark.parametrize(("at", "q"), [("p50", 0.5), ("p99", 0.99)])
def test_a_true_difference_of_five_percent_is_found(at: str, q: float) -> None:
    """At the planned number of requests, in at least 95 of 100 comparisons, and never the wrong way round."""
    n = requests_needed(lognormal_deviation(SIGMA, q), 0.05)
    words: Counter[str] = Counter()
    for seed in range(100):
        draw = np.random.default_rng(seed)
        words[compare([golden(draw, n)], [golden(draw, n, 1.05)], at).outcome] += 1
    assert words["slower"] >= 95
    assert words["faster"] == 0


@pytest.mark.parametrize(("at", "n", "pairs"), [("p50", 2_000, 400), ("p90", 2_000, 400), ("p99", 4_000, 400)])
def test_equal_servers_are_rarely_told_apart(at: str, n: int, pairs: int) -> None:
    """A false alarm in at most 1 of 100 comparisons of a server with itself."""
    words: Counter[str] = Counter()
    for seed in range(pairs):
        draw = np.random.default_rng(10_000 + seed)
        words[compare([golden(draw, n)], [golden(draw, n)], at).outcome] += 1
    assert sum(words[alarm] for alarm in ALARMS) <= pairs / 100


def test_equal_servers_are_called_equivalent_at_the_planned_number() -> None:
    """Then a difference as large as the margin would have shown."""
    n = requests_needed(lognormal_deviation(SIGMA, 0.5), 0.05)
    words = Counter(
        compare([golden(draw, n)], [golden(draw, n)], "p50").outcome for draw in map(np.random.default_rng, range(100))
    )
    assert words["equivalent"] >= 95


@pytest.mark.parametrize(("load", "at"), [(0.3, "p99"), (0.6, "p90"), (0.8, "p90")])
def test_a_queue_raises_no_more_false_alarms(load: float, at: str) -> None:
    """Latencies behind a queue come in company; still at most 1 false alarm in 100."""
    alarms = 0
    for seed in range(200):
        draw = np.random.default_rng(seed)
        pair = []
        for _ in range(2):
            arrivals = poisson_arrivals(draw, load, 8_000 / load)
            pair.append(data(responses(arrivals, draw.exponential(1.0, len(arrivals)))))
        alarms += compare([pair[0]], [pair[1]], at).outcome in ALARMS
    assert alarms <= 2


@pytest.mark.parametrize(("repeats", "spread"), [(3, 0.0), (3, 0.05), (5, 0.03)])
def test_runs_that_differ_raise_no_more_false_alarms(repeats: int, spread: float) -> None:
    """Whole runs that are faster or slower than others do not pass for a difference between the sides."""
    alarms = 0
    for seed in range(200):
        draw = np.random.default_rng(seed)
        sides = [[golden(draw, 1_000, math.exp(draw.normal(0, spread))) for _ in range(repeats)] for _ in range(2)]
        alarms += compare(sides[0], sides[1], "p50").outcome in ALARMS
    assert alarms <= 2


def test_runs_that_differ_would_fool_a_single_run() -> None:
    """Why a single run's result says that the spread of runs is not known: 5 % of it looks like a difference."""
    alarms = 0
    for seed in range(60):
        draw = np.random.default_rng(seed)
        pair = [golden(draw, 10_000, math.exp(draw.normal(0, 0.05))) for _ in range(2)]
        found = compare([pair[0]], [pair[1]], "p50")
        assert any("not known" in note for note in found.notes)
        alarms += found.outcome in ALARMS
    assert alarms > 10


def test_repeats_find_a_large_difference() -> None:
    """Five runs a side that differ by 2 % find 20 % in at least 95 of 100 comparisons."""
    found = 0
    for seed in range(100):
        draw = np.random.default_rng(seed)
        sides = [
            [golden(draw, 1_000, factor * math.exp(draw.normal(0, 0.02))) for _ in range(5)] for factor in (1.0, 1.2)
        ]
        found += compare(sides[0], sides[1], "p50").outcome == "slower"
    assert found >= 95
