"""The golden servers' laws, against what is known of them without their code."""

import math

import numpy as np
import pytest
from scipy import stats  # type: ignore[import-untyped]

from shared.testing.behaviour import Behaviour, fixed, limited, log_normal, stalling
from shared.testing.service_model import ServiceModel

US = 1_000
MS = 1_000_000
S = 1_000_000_000


def served_ns(behaviour: Behaviour, received_ns: list[int]) -> list[int]:
    """From receiving to the end, for requests received at these moments."""
    model = ServiceModel(behaviour)
    return [model.times(moment)[1] - moment for moment in received_ns]


def test_a_fixed_service_time_does_not_depend_on_what_else_is_in_flight() -> None:
    """A hundred at once, each for 300 us to the nanosecond."""
    assert served_ns(fixed(0.3), [5 * S] * 100) == [300 * US] * 100


def test_a_null_server_takes_no_time() -> None:
    """Start and end are the moment of receiving."""
    assert ServiceModel(Behaviour(service_ms=0)).times(17) == (17, 17)


def test_log_normal_times_follow_their_law() -> None:
    """Kolmogorov-Smirnov against the distribution of the same parameters, at a false-alarm rate of 1 in 1,000."""
    times = np.array(served_ns(log_normal(2.0, 0.5), list(range(20_000)))) / MS
    assert stats.kstest(times, stats.lognorm(s=0.5, scale=2.0).cdf).pvalue > 0.001


def test_log_normal_times_can_be_drawn_again_and_anew() -> None:
    """The same seed gives the same times, another seed others."""
    moments = list(range(50))
    assert served_ns(log_normal(1, 1, seed=3), moments) == served_ns(log_normal(1, 1, seed=3), moments)
    assert served_ns(log_normal(1, 1, seed=3), moments) != served_ns(log_normal(1, 1, seed=4), moments)


def test_times_drawn_at_once_are_those_drawn_one_by_one() -> None:
    """The same stream, beyond a block of draws; a fixed time needs none."""
    one_by_one = served_ns(log_normal(1, 1, seed=3), [0] * 2500)
    assert ServiceModel(log_normal(1, 1, seed=3)).independent_ns(2500).tolist() == one_by_one
    assert ServiceModel(fixed(0.3)).independent_ns(2).tolist() == [300 * US] * 2


def test_a_limited_server_takes_one_after_another() -> None:
    """Three at once at 50 per second wait 0, 20 and 40 ms; one that comes to an idle server does not wait."""
    assert served_ns(limited(50), [S, S, S, 2 * S]) == [20 * MS, 40 * MS, 60 * MS, 20 * MS]


def test_a_limited_server_completes_at_its_capacity_and_no_faster() -> None:
    """Offered twice its capacity of 50 per second for ten seconds, the k-th answer comes at k / 50 s, exactly."""
    received = [i * 10 * MS for i in range(1000)]
    ends = [moment + served for moment, served in zip(received, served_ns(limited(50), received), strict=True)]
    assert ends == [(i + 1) * 20 * MS for i in range(1000)]


def test_the_mean_wait_of_a_limited_server_under_poisson_arrivals_is_pollaczek_and_khinchine_s() -> None:
    """M/D/1 at a load of 0.6 waits load / (2 (1 - load)) service times; 200,000 arrivals tell it within 5 %."""
    load, capacity = 0.6, 1000.0
    gaps_s = np.random.default_rng(1).exponential(1 / (load * capacity), 200_000)
    received = (np.cumsum(gaps_s) * S).astype(np.int64).tolist()
    waits_ms = np.array(served_ns(limited(capacity), received)) / MS - 1.0
    assert waits_ms.mean() == pytest.approx(load / (2 * (1 - load)), rel=0.05)


def test_a_stall_delays_whoever_comes_into_it_to_its_end() -> None:
    """Periods count from the first request: frozen from 5 s to 6 s after it, and again from 11 s to 12 s."""
    first = 123 * S
    moments = [first, first + 4 * S, first + 5 * S, first + 5 * S + 700 * MS, first + 6 * S, first + 11 * S + 1]
    assert served_ns(stalling(), moments) == [MS, MS, S + MS, 301 * MS, MS, S + MS - 1]


def test_a_request_that_runs_into_the_stall_ends_with_it() -> None:
    """Started in time, but not done when the freeze begins."""
    behaviour = stalling(service_ms=10)
    assert served_ns(behaviour, [0, 4_995 * MS]) == [10 * MS, 1005 * MS]


def test_the_percentiles_of_the_stall_are_those_of_the_issue() -> None:
    """At 100 per second over whole periods: p90 400, p95 700, p99 940 ms, as one in six waits U(0, 1 s)."""
    received = [i * 10 * MS for i in range(6_000)]
    served = np.array(served_ns(stalling(), received)) / MS
    for share, expected_ms in ((0.90, 400), (0.95, 700), (0.99, 940)):
        rank = math.ceil(share * len(served))
        assert np.sort(served)[rank - 1] == pytest.approx(expected_ms, abs=11)
