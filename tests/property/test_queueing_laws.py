"""The simulator against queueing theory: means that are known in closed form, without the code under test."""

from math import factorial

import numpy as np
import pytest

from shared.scheduling.policy import policy_named
from shared.scheduling.simulate import Outcome, Setting, simulate
from shared.scheduling.synthetic import Stream

RUNS = 12_000


def poisson_stream(duration_s: np.ndarray, *, load: float, slots: int, seed: int) -> Stream:
    """Poisson arrivals, scaled to exactly this load: that halves the error of a mean over so few runs."""
    n = len(duration_s)
    at = np.cumsum(np.random.default_rng(seed).exponential(1.0, n))
    arrival_s = at * (duration_s.sum() / (load * slots) / at[-1])
    return Stream(arrival_s, duration_s, ("a",) * n, ("cpu",) * n, np.full(n, -1))


def outcomes(policy: str, durations: str, *, load: float, slots: int, runs: int = RUNS) -> list[Outcome]:
    """Of two seeds; mean duration 1 s."""
    found = []
    for seed in (1, 2):
        random = np.random.default_rng([seed, 9])
        draws = {
            "exponential": random.exponential(1.0, runs),
            "deterministic": np.ones(runs),
            "two lengths": np.where(random.random(runs) < 0.5, 0.5, 1.5),
        }
        stream = poisson_stream(draws[durations], load=load, slots=slots, seed=seed)
        found.append(simulate(stream, Setting(slots={"cpu": slots}, policy=policy_named(policy)), seed))
    return found


def mean_wait_s(found: list[Outcome]) -> float:
    """Over all runs of all seeds."""
    return float(np.mean([outcome.wait_s.mean() for outcome in found]))


@pytest.mark.parametrize(("durations", "second_moment"), [("exponential", 2.0), ("deterministic", 1.0)])
def test_one_slot_waits_as_pollaczek_and_khinchine_say(durations: str, second_moment: float) -> None:
    """M/G/1, first come: rate x E[S^2] / (2 (1 - load)); at load 0.7 that is 2.333 s and 1.167 s."""
    found = outcomes("first-come", durations, load=0.7, slots=1)
    assert mean_wait_s(found) == pytest.approx(0.7 * second_moment / (2 * 0.3), rel=0.1)


def test_four_slots_wait_as_erlang_says() -> None:
    """M/M/4, first come, late binding: C(4, a) / (4 - a) with a = 2.8."""
    a, slots = 2.8, 4
    blocked = a**slots / factorial(slots) * slots / (slots - a)
    waiting = blocked / (sum(a**k / factorial(k) for k in range(slots)) + blocked)
    assert mean_wait_s(outcomes("first-come", "exponential", load=0.7, slots=4)) == pytest.approx(
        waiting / (slots - a), rel=0.1
    )


def test_round_robin_on_four_slots_is_four_queues_with_erlang_arrivals() -> None:
    """Every fourth arrival goes to a slot: E4/M/1, whose wait is s / (1 - s) with s = (2.8 / (3.8 - s))^4.

    The root of s = A*(mu (1 - s)) for gaps of four exponentials of rate 2.8 (L. Kleinrock, Queueing Systems I, 6.1).
    """
    s = 0.5
    for _ in range(200):
        s = (2.8 / (2.8 + 1 - s)) ** 4
    found = outcomes("round-robin+first-come", "exponential", load=0.7, slots=4)
    assert mean_wait_s(found) == pytest.approx(s / (1 - s), rel=0.1)


def test_shortest_first_on_one_slot_waits_as_cobham_says() -> None:
    """Non-preemptive priorities (A. Cobham 1954): 0.5 s before 1.5 s, half of each, at load 0.8.

    The rest of what runs is 0.8 x 1.25 / 2 = 0.5 s; the short have load 0.2: 0.5 / 0.8; the long 0.5 / (0.8 x 0.2).
    """
    found = outcomes("shortest-first", "two lengths", load=0.8, slots=1)
    waits = {
        length: float(np.mean([o.wait_s[o.stream.duration_s == length].mean() for o in found])) for length in (0.5, 1.5)
    }
    assert waits[0.5] == pytest.approx(0.625, rel=0.1)
    assert waits[1.5] == pytest.approx(3.125, rel=0.15)


@pytest.mark.parametrize("policy", ["first-come", "shortest-first", "fair-share", "queue-aware+shortest-first"])
def test_little_s_law_holds_whatever_the_policy(policy: str) -> None:
    """Runs in the system on average, counted moment by moment, are the arrival rate times the mean completion."""
    runs = 500
    outcome = outcomes(policy, "exponential", load=0.7, slots=4, runs=runs)[0]
    moments = np.concatenate([outcome.stream.arrival_s, outcome.ended_s])
    steps = np.concatenate([np.ones(runs), -np.ones(runs)])[np.argsort(moments, kind="stable")]
    inside = np.cumsum(steps)[:-1]
    moments.sort()
    mean_inside = float((inside * np.diff(moments)).sum())
    assert mean_inside == pytest.approx(float(outcome.completion_s.sum()), rel=1e-9)
    assert outcome.ratio_to_bound >= 1
