"""Ramp, step, spike and sine, as laws: along the cumulative rate their arrivals are a Poisson process of rate 1.

The rates are written down here a second time, as functions of time, and integrated in closed form. Plans with a
known flaw go through the same tests.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import integrate  # type: ignore[import-untyped]
from support.laws import ALARM, SEEDS, Floats, parts_p, place_p, uniformity, unit_gap_p
from support.workloads import workload

from shared.workload.arrivals import make_plan

WARMUP, DURATION = 2.0, 12.0
END = WARMUP + DURATION
EDGES = np.linspace(0.0, END, 29)  # 0.5 s each

Cumulative = Callable[[Floats], Floats]


def ramp(t: Floats) -> Floats:
    """50/s until 2 s, then evenly to 350/s at 14 s; requests until t."""
    inside = np.maximum(t - WARMUP, 0)
    return np.asarray(50 * t + 25 / 2 * inside**2)


def fall(t: Floats) -> Floats:
    """300/s until 2 s, then evenly to 60/s at 14 s."""
    inside = np.maximum(t - WARMUP, 0)
    return np.asarray(300 * t - 20 / 2 * inside**2)


def step(t: Floats) -> Floats:
    """100/s until 6 s, 300/s until 10 s, 50/s until 14 s."""
    return np.asarray(100 * np.minimum(t, 6) + 300 * np.clip(t - 6, 0, 4) + 50 * np.maximum(t - 10, 0))


def spike(t: Floats) -> Floats:
    """80/s, and 800/s from 5 s to 7 s."""
    return np.asarray(80 * t + 720 * np.clip(t - 5, 0, 2))


def sine(t: Floats) -> Floats:
    """150/s until 2 s, then 150/s x (1 + sin(2 pi t / 5 s)): the rate touches zero."""
    inside = np.maximum(t - WARMUP, 0)
    return np.asarray(150 * (t + 5 / (2 * math.pi) * (1 - np.cos(2 * math.pi * inside / 5))))


CASES: dict[str, tuple[dict[str, Any], Cumulative]] = {
    "ramp": ({"pattern": "ramp", "from_rate": 50, "to_rate": 350}, ramp),
    "fall": ({"pattern": "ramp", "from_rate": 300, "to_rate": 60}, fall),
    "step": ({"pattern": "step", "rates": [100, 300, 50]}, step),
    "spike": (
        {"pattern": "spike", "rate": 80, "spike_rate": 800, "spike_at": "3s", "spike_duration": "2s"},
        spike,
    ),
    "sine": ({"pattern": "sine", "rate": 150, "amplitude": 1.0, "period": "5s"}, sine),
}


def due_s(case: str, seed: int, arrivals: str = "poisson") -> Floats:
    """Due times in seconds of the plan under test."""
    fields = {**CASES[case][0], "warmup": "2s", "duration": "12s", "seed": seed, "arrivals": arrivals}
    return make_plan(workload(**fields), 1).due_ns / 1e9


def p_values(cumulative: Cumulative, times: Floats) -> tuple[float, float, float]:
    """Of the rescaled gaps, of their places, and of the counts in parts of half a second."""
    at = cumulative(times)
    expected = np.diff(cumulative(EDGES))
    return unit_gap_p(at), place_p(at, float(cumulative(np.array([END]))[0])), parts_p(times, EDGES, expected)


@pytest.mark.parametrize("case", CASES)
def test_rescaled_arrivals_are_poisson_of_rate_one(case: str) -> None:
    """Exponential gaps, uniform places and Poisson counts along the rate that was asked for."""
    found = [p_values(CASES[case][1], due_s(case, seed)) for seed in SEEDS]
    for values in zip(*found, strict=True):
        assert uniformity(list(values)) > ALARM


@pytest.mark.parametrize("case", CASES)
def test_constant_arrivals_are_equal_steps_of_the_cumulative_rate(case: str) -> None:
    """Request i is due when i requests should have been, to a nanosecond, and the plan ends where the rate does."""
    times = due_s(case, 1, arrivals="constant")
    at, cumulative = np.arange(len(times)), CASES[case][1]
    assert (cumulative(np.maximum(times - 1e-9, 0)) - 1e-6 <= at).all()
    assert (at <= cumulative(times + 1e-9) + 1e-6).all()
    assert len(times) == math.ceil(float(cumulative(np.array([END]))[0]) - 1e-6)


@pytest.mark.parametrize("case", CASES)
def test_the_cumulative_rates_of_this_test_are_integrals_of_the_rates(case: str) -> None:
    """What these tests take for the truth agrees with the rates in words, integrated numerically."""
    cumulative = CASES[case][1]
    rates = {
        "ramp": lambda t: 50 + 25 * max(t - 2, 0),
        "fall": lambda t: 300 - 20 * max(t - 2, 0),
        "step": lambda t: 100 if t < 6 else 300 if t < 10 else 50,
        "spike": lambda t: 800 if 5 <= t < 7 else 80,
        "sine": lambda t: 150 * (1 + (math.sin(2 * math.pi * (t - 2) / 5) if t > 2 else 0)),
    }
    for end in (1.0, 3.3, 6.5, 11.0, 14.0):
        area, _ = integrate.quad(rates[case], 0, end, points=[2, 5, 6, 7, 10], limit=200)
        assert float(cumulative(np.array([end]))[0]) == pytest.approx(area, rel=1e-9)


def shifted(case: str, seed: int) -> Floats:
    """Flaw: the shape starts with the warm-up instead of the window."""
    later = due_s(case, seed)
    return np.sort((later - WARMUP) % END)


def staircase(case: str, seed: int) -> Floats:
    """Flaw: within each second the arrivals lie anywhere, as if the rate had not changed in it."""
    rng = np.random.default_rng(seed)
    return np.sort(np.floor(due_s(case, seed)) + rng.random(len(due_s(case, seed))))


def exact_counts(case: str, seed: int) -> Floats:
    """Flaw: each half second holds exactly its share, at random places."""
    rng = np.random.default_rng(seed)
    counts = np.rint(np.diff(CASES[case][1](EDGES))).astype(int)
    return np.sort(np.concatenate([start + rng.random(n) / 2 for start, n in zip(EDGES, counts, strict=False)]))


@pytest.mark.parametrize(
    ("case", "flawed"),
    [
        *[(case, shifted) for case in CASES],
        *[(case, exact_counts) for case in CASES],
        ("sine", staircase),
        ("spike", lambda _case, seed: due_s("step", seed)),
    ],
)
def test_the_tests_see_flawed_plans(case: str, flawed: Callable[[str, int], Floats]) -> None:
    """A shape in the wrong place, counts without chance in them, a rate held for a second, another law altogether."""
    found = [p_values(CASES[case][1], flawed(case, seed)) for seed in SEEDS]
    assert min(uniformity(list(values)) for values in zip(*found, strict=True)) < ALARM


def test_a_swing_is_inverted_exactly_where_the_rate_is_zero() -> None:
    """At an amplitude of 1 the rate is zero once in each period; the cumulative rate of every due time is still i."""
    spec = workload(
        pattern="sine", rate=20_000, amplitude=1.0, period="1s", arrivals="constant", warmup="0s", duration="3s"
    )
    t = make_plan(spec, 1).due_ns / 1e9
    at = 20_000 * (t + (1 - np.cos(2 * math.pi * t)) / (2 * math.pi))
    assert np.abs(at - np.arange(len(t))).max() < 1e-4
    assert len(t) == 60_000
