"""The certified bounds against every schedule of small instances, tried one by one."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.scheduling.bounds import batch_optimum_s, flow_bound_s, mean_busy_times
from shared.scheduling.policy import ORDER_NAMES, PLACEMENTS, SchedulingPolicy
from shared.scheduling.simulate import Setting, simulate
from shared.scheduling.synthetic import Stream

RUNS = st.lists(st.tuples(st.integers(0, 20), st.integers(1, 15)), min_size=1, max_size=6)
SLOTS = st.integers(1, 3)


def best_by_trying(runs: list[tuple[int, int]], slots: int) -> float:
    """Least total of (end - arrival): some order, each run on the slot that is free first, is an optimal schedule."""
    best = float("inf")
    for order in permutations(runs):
        free = [0.0] * slots
        total = 0.0
        for arrival, duration in order:
            first = min(range(slots), key=free.__getitem__)
            free[first] = max(free[first], arrival) + duration
            total += free[first] - arrival
        best = min(best, total)
    return best


def stream(runs: list[tuple[int, int]], teams: str = "ab") -> Stream:
    """The runs by arrival."""
    ordered = sorted(runs)
    arrivals, durations = zip(*ordered, strict=True)
    return Stream(
        np.array(arrivals, float), np.array(durations, float),
        tuple(teams[n % len(teams)] for n in range(len(runs))), ("cpu",) * len(runs), np.full(len(runs), -1),
    )  # fmt: skip


@given(runs=RUNS, slots=SLOTS)
def test_no_schedule_is_below_the_bound(runs: list[tuple[int, int]], slots: int) -> None:
    """Not even the best of all orders."""
    arrivals, durations = (np.array(column, float) for column in zip(*runs, strict=True))
    assert flow_bound_s(arrivals, durations, slots) <= best_by_trying(runs, slots) + 1e-6


@given(durations=st.lists(st.integers(1, 15), min_size=1, max_size=6), slots=SLOTS)
def test_the_batch_optimum_is_the_best_of_all_orders(durations: list[int], slots: int) -> None:
    """It is not a bound but the optimum itself."""
    best = best_by_trying([(0, duration) for duration in durations], slots)
    assert batch_optimum_s(np.array(durations, float), slots) == pytest.approx(best)


@given(
    runs=RUNS,
    slots=SLOTS,
    placement=st.sampled_from(list(PLACEMENTS)),
    order=st.sampled_from(ORDER_NAMES),
    sigma=st.sampled_from([0.0, 1.0]),
)
def test_no_policy_beats_the_best_schedule_or_the_bound(
    runs: list[tuple[int, int]], slots: int, placement: str, order: str, sigma: float
) -> None:
    """Every run ends once, takes its time, and the total is between the optimum's and nothing."""
    setting = Setting(slots={"cpu": slots}, policy=SchedulingPolicy(placement=placement, order=order), sigma=sigma)
    outcome = simulate(stream(runs), setting, seed=1)
    assert outcome.completion_s.sum() >= best_by_trying(runs, slots) - 1e-6
    assert outcome.ratio_to_bound >= 1 - 1e-9
    assert np.allclose(outcome.ended_s - outcome.started_s, outcome.taken_s)
    assert (outcome.wait_s >= 0).all()


@given(runs=RUNS, slots=SLOTS)
def test_at_no_time_are_more_runs_on_slots_than_there_are_slots(runs: list[tuple[int, int]], slots: int) -> None:
    """Nor does a late-binding slot stand idle while a run waits."""
    outcome = simulate(stream(runs), Setting(slots={"cpu": slots}), seed=1)
    moments = np.concatenate([outcome.started_s, outcome.ended_s])
    for moment in moments:
        assert ((outcome.started_s <= moment) & (moment < outcome.ended_s)).sum() <= slots
    assert outcome.idle_while_waiting_s == 0


def test_mean_busy_times_of_an_instance_worked_by_hand() -> None:
    """A run of 4 from 0 is interrupted from 1 to 3 by one of 2: it is worked on in 0..1 and 3..6."""
    found = mean_busy_times(np.array([0.0, 1.0]), np.array([4.0, 2.0]))
    assert found.tolist() == [(1 * 0.5 + 3 * 4.5) / 4, 2.0]


def test_the_bound_is_tight_where_one_run_is_alone() -> None:
    """It ends when it must; and no runs need no time."""
    assert flow_bound_s(np.array([7.0]), np.array([3.0]), 1) == 3.0
    assert flow_bound_s(np.array([]), np.array([]), 2) == 0.0
