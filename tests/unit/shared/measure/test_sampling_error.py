"""How far one run's figures may be off: against theory where samples are independent, and against many runs."""

import math

import numpy as np
import pytest
from scipy import stats  # type: ignore[import-untyped]
from support.virtual_server import poisson_arrivals, responses

from shared.measure.independence import effective_n, effective_n_beyond, lag1
from shared.measure.latency import FOR_EVER_NS
from shared.measure.planning import lognormal_deviation, requests_needed, runs_needed
from shared.measure.sampling_error import (
    Durations,
    least_effective_n,
    percentile_estimate,
    rate_estimate,
)
from shared.measure.t_quantile import student_quantile


def lognormal(seed: int, n: int, sigma: float = 0.5) -> Durations:
    """Independent latencies around 10 ms."""
    return np.rint(np.random.default_rng(seed).lognormal(math.log(1e7), sigma, n)).astype(np.int64)


def queued(seed: int, n: int, load: float) -> Durations:
    """Response times of M/M/1, in the order of arrival: slow ones come in company."""
    draw = np.random.default_rng(seed)
    arrivals = poisson_arrivals(draw, load, n / load)
    return np.rint(1e6 * responses(arrivals, draw.exponential(1.0, len(arrivals)))).astype(np.int64)


@pytest.mark.parametrize("p", [0.0005, 0.05, 0.5, 0.75, 0.95, 0.9975, 0.99999])
@pytest.mark.parametrize("freedom", [1, 2, 3, 8, 29, 58, 1000])
def test_quantiles_of_t_are_scipys(p: float, freedom: int) -> None:
    """To nine digits, from the heavy tails of one degree of freedom to the normal law."""
    assert student_quantile(p, freedom) == pytest.approx(float(stats.t.ppf(p, freedom)), rel=1e-9, abs=1e-9)


@pytest.mark.parametrize(("p", "freedom"), [(0.0, 5), (1.0, 5), (0.9, 0)])
def test_a_quantile_that_does_not_exist_is_refused(p: float, freedom: int) -> None:
    """Rather than searched for ever."""
    with pytest.raises(ValueError, match="no t of"):
        student_quantile(p, freedom)


@pytest.mark.parametrize("q", [0.5, 0.9, 0.99])
def test_the_deviation_is_that_of_theory(q: float) -> None:
    """Independent log-normal latencies: the mean of 60 estimates is the asymptotic deviation within 8 %."""
    n = 20_000
    told = [percentile_estimate(lognormal(seed, n), q).log_deviation or math.nan for seed in range(60)]
    assert np.mean(told) == pytest.approx(lognormal_deviation(0.5, q) / math.sqrt(n), rel=0.08)


@pytest.mark.parametrize(("load", "q"), [(0.3, 0.99), (0.6, 0.5), (0.6, 0.9), (0.6, 0.99), (0.8, 0.9)])
def test_behind_a_queue_the_deviation_is_that_of_many_runs(load: float, q: float) -> None:
    """What each of 150 runs says of itself is how much they differ, within 20 %."""
    found = [percentile_estimate(queued(seed, 20_000, load), q) for seed in range(150)]
    spread = float(np.std([math.log(estimate.value or math.nan) for estimate in found], ddof=1))
    told = math.sqrt(float(np.mean([(estimate.log_deviation or math.nan) ** 2 for estimate in found])))
    assert told == pytest.approx(spread, rel=0.2)


def test_neighbours_alone_would_say_too_little() -> None:
    """Why parts of the run are compared: by the correlation of neighbours, a p99 behind a queue seems twice as sure."""
    run = queued(1, 200_000, 0.8)
    by_parts = effective_n_beyond(run, int(np.quantile(run, 0.99)))
    assert by_parts < effective_n(len(run), lag1(run)) / 2


def test_independent_requests_are_worth_nearly_themselves() -> None:
    """The number is never above n, and on average not far below."""
    worth = [effective_n_beyond(run, int(np.quantile(run, 0.9))) for run in map(lognormal, range(50), [9_000] * 50)]
    assert max(worth) <= 9_000
    assert np.mean(worth) > 0.8 * 9_000


def test_the_value_is_the_nearest_rank() -> None:
    """Of 1..1000 in any order, the 990th."""
    run = np.random.default_rng(1).permutation(np.arange(1, 1001)).astype(np.int64)
    assert percentile_estimate(run, 0.99).value == 990
    assert percentile_estimate(run, 0.5).value == 500


def test_failures_lie_beyond_every_limit() -> None:
    """With 2 % of failures the p99 has no value; with 0.9 % it has one, and no interval."""
    run = lognormal(1, 10_000)
    run[::50] = FOR_EVER_NS
    assert percentile_estimate(run, 0.99).value is None
    few = lognormal(1, 10_000)
    few[np.arange(90) * 100] = FOR_EVER_NS
    estimate = percentile_estimate(few, 0.99)
    assert estimate.value is not None
    assert estimate.log_deviation is None


@pytest.mark.parametrize("n", [0, 1, 5, 29, 59, 300])
def test_too_few_requests_have_no_deviation(n: int) -> None:
    """At p99; and nothing falls over."""
    estimate = percentile_estimate(lognormal(1, n), 0.99)
    assert estimate.log_deviation is None
    assert (estimate.value is None) is (n == 0)
    assert estimate.unit_deviation is None


@pytest.mark.parametrize("q", [0.5, 0.9, 0.99, 0.999])
def test_the_least_sample_is_the_least(q: float) -> None:
    """The interval's upper rank exists from there on, and not at two thirds of it."""
    floor = least_effective_n(q)
    reaches = [q + 1.96 * math.sqrt(q * (1 - q) / n) for n in (floor, floor * 2 / 3)]
    assert reaches[0] < 1 <= reaches[1]


def test_equal_latencies_are_exactly_known() -> None:
    """A server that always takes 5 ms leaves no doubt."""
    assert percentile_estimate(np.full(1000, 5_000_000, np.int64), 0.9).log_deviation == 0


def test_a_rate_is_as_sure_as_its_parts_are_alike() -> None:
    """Poisson completions: the relative deviation is one over the root of their number, within 15 %."""
    draw = np.random.default_rng(3)
    told = [rate_estimate(draw.poisson(400, 30).astype(np.int64), 0.5) for _ in range(200)]
    assert np.mean([estimate.log_deviation for estimate in told]) == pytest.approx((30 * 400) ** -0.5, rel=0.15)
    assert np.mean([estimate.value for estimate in told]) == pytest.approx(800, rel=0.01)


def test_a_rate_of_nothing_has_no_deviation() -> None:
    """No completions, or no parts."""
    assert rate_estimate(np.zeros(30, np.int64), 1.0).value == 0
    assert rate_estimate(np.zeros(0, np.int64), 1.0).value is None


def test_the_plan_agrees_with_the_textbook() -> None:
    """Two means, sigma 1, difference 1, 5 % and 80 %: 16 a side by the normal law; t asks for one more at most."""
    assert requests_needed(1.0, math.expm1(1.0), alpha=0.05, power=0.8) in (16, 17)


def test_the_plan_grows_with_precision() -> None:
    """Half the difference needs four times as many; p99 more than p50."""
    one, half = (requests_needed(1.0, math.expm1(difference)) for difference in (0.1, 0.05))
    assert half == pytest.approx(4 * one, rel=0.01)
    assert lognormal_deviation(0.5, 0.99) > 2 * lognormal_deviation(0.5, 0.5)


def test_a_pilot_plans_as_the_known_law_does() -> None:
    """20 pilots of 10,000 requests give the unit deviation of the log-normal law, within 10 % on average."""
    pilots = [percentile_estimate(lognormal(seed, 10_000), 0.9).unit_deviation or math.nan for seed in range(20)]
    assert np.mean(pilots) == pytest.approx(lognormal_deviation(0.5, 0.9), rel=0.1)


def test_repeats_are_planned_with_their_own_spread() -> None:
    """As many as make t reach the difference, and one less does not; an impossible wish has no number."""
    runs = runs_needed(0.02, 0.05, alpha=0.005, power=0.9)
    assert runs is not None

    def reach(number: int) -> float:
        freedom = 2 * number - 2
        return 0.02 * math.sqrt(2 / number) * float(stats.t.ppf(0.9975, freedom) + stats.t.ppf(0.9, freedom))

    assert reach(runs) <= math.log(1.05) < reach(runs - 1)
    assert runs_needed(10.0, 0.01) is None


@pytest.mark.parametrize("difference", [0.0, -0.1])
def test_no_difference_cannot_be_planned_for(difference: float) -> None:
    """It would need infinitely many."""
    with pytest.raises(ValueError, match="no difference"):
        requests_needed(1.0, difference)
    with pytest.raises(ValueError, match="no difference"):
        runs_needed(1.0, difference)
