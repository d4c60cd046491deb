"""What a sequence of alike neighbours is worth, on laws whose answer is known."""

import math

import numpy as np
import pytest
from support.virtual_server import poisson_arrivals, responses

from shared.measure.certification import interval_ranks
from shared.measure.independence import MOST_PAIRS, Worth, effective_n, lag1
from shared.measure.latency import rank

N = 20_000


def autoregression(seed: int, phi: float, n: int = N) -> np.ndarray:
    """A stationary normal AR(1) of unit variance."""
    draw = np.random.default_rng(seed)
    noise = draw.normal(size=n) * np.sqrt(1 - phi**2)
    values = np.empty(n)
    values[0] = draw.normal()
    for i in range(1, n):
        values[i] = phi * values[i - 1] + noise[i]
    return values


def whole(values: np.ndarray) -> np.ndarray:
    """As latencies come: whole numbers."""
    return np.rint(values * 1e6).astype(np.int64)


@pytest.mark.parametrize("phi", [0.0, 0.3, 0.6, 0.9])
def test_an_autoregression_is_worth_what_theory_says(phi: float) -> None:
    """That is n (1 - phi) / (1 + phi), within 10 % in the mean of ten seeds."""
    worths = [effective_n(N, lag1(whole(autoregression(seed, phi)))) for seed in range(10)]
    assert np.mean(worths) == pytest.approx(N * (1 - phi) / (1 + phi), rel=0.1)


def test_the_mean_of_an_autoregression_varies_as_that_of_so_many_independent_samples() -> None:
    """The promise itself: the variance of 400 means is 1 / n_eff, within 15 %."""
    means, worths = [], []
    for seed in range(400):
        values = autoregression(seed, 0.7, 2000)
        means.append(values.mean())
        worths.append(effective_n(2000, lag1(whole(values))))
    assert np.var(means) * np.mean(worths) == pytest.approx(1, rel=0.15)


def test_a_heavy_tail_does_not_change_the_answer() -> None:
    """The same sequence through a log-normal scale with tails of a thousandfold; a correlation of values loses it."""
    values = autoregression(5, 0.6)
    scaled = np.exp(3 * values)
    assert lag1(np.rint(scaled * 1e6).astype(np.int64)) == pytest.approx(lag1(whole(values)), abs=1e-3)
    plain = np.corrcoef(scaled[:-1], scaled[1:])[0, 1]
    assert plain < 0.3


def test_one_freeze_does_not_hide_the_likeness_of_the_rest() -> None:
    """A latency of an hour among them moves nothing."""
    values = whole(autoregression(6, 0.6)) + 10**9
    before = lag1(values)
    values[777] = 3_600 * 10**9
    assert lag1(values) == pytest.approx(before, abs=1e-3)


def test_independent_samples_are_worth_themselves() -> None:
    """Within 3 %; and alternating ones no more than they are many."""
    assert effective_n(N, lag1(whole(autoregression(7, 0.0)))) == pytest.approx(N, rel=0.03)
    alternating = np.tile([1, 2], 500)
    found = lag1(alternating)
    assert found is not None
    assert found < -0.9
    assert effective_n(1000, found) == 1000


@pytest.mark.parametrize("values", [[], [5], [3, 3, 3, 3]])
def test_where_nothing_varies_nothing_is_alike(values: list[int]) -> None:
    """None, and the samples count in full."""
    found = lag1(np.array(values, dtype=np.int64))
    assert found is None
    assert effective_n(len(values), found) == len(values)


def test_equal_values_do_not_look_like_a_trend() -> None:
    """Latencies in whole milliseconds have many ties; independent ones stay uncorrelated."""
    values = np.random.default_rng(1).integers(1, 4, N)
    found = lag1(values)
    assert found == pytest.approx(0, abs=0.03)


def test_the_worth_is_never_below_one_sample() -> None:
    """A row that only rises is one observation of something that changes."""
    assert effective_n(1000, lag1(np.arange(1000))) == pytest.approx(1, abs=1)
    assert effective_n(1000, 1.0) == 1.0
    assert effective_n(0, None) == 0.0


def test_long_rows_are_compared_in_stretches() -> None:
    """Three million samples give the correlation of the whole to a few thousandths."""
    n = 3 * MOST_PAIRS
    noise = np.random.default_rng(2).normal(size=n + 1)
    moving = noise[1:] + noise[:-1]  # neighbours share half of what they are made of
    assert lag1(whole(moving)) == pytest.approx(0.5, abs=5e-3)


@pytest.mark.parametrize(("load", "q"), [(0.3, 0.5), (0.6, 0.9), (0.6, 0.99), (0.8, 0.9)])
def test_intervals_behind_a_queue_cover_the_truth(load: float, q: float) -> None:
    """Of 200 runs behind M/M/1, at least nine in ten intervals hold the true one, -ln(1 - q) / (mu - lambda)."""
    truth_ns = -math.log(1 - q) / (1 - load) * 1e6
    held = 0
    for seed in range(200):
        draw = np.random.default_rng(seed)
        arrivals = poisson_arrivals(draw, load, 20_000 / load)
        run = np.rint(1e6 * responses(arrivals, draw.exponential(1.0, len(arrivals)))).astype(np.int64)
        ascending = np.sort(run)
        place = ascending[rank(len(run), q) - 1]
        ranks = interval_ranks(q, len(run), Worth(run).at(int(place)))
        low_ns = ascending[ranks.low - 1] if ranks.low else 0
        high_ns = ascending[ranks.high - 1] if ranks.high else math.inf
        held += bool(low_ns <= truth_ns <= high_ns)
    assert held >= 180
