"""Replays of histories that a policy made: what is known without knowing how a policy decides."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.scheduling.policy import ORDER_NAMES, PLACEMENTS, SchedulingPolicy
from shared.scheduling.replay import replay
from shared.scheduling.simulate import Setting, simulate
from shared.scheduling.stream_file import TracedRun, lines_of, read_runs, stream_of

POLICIES = st.builds(
    SchedulingPolicy, placement=st.sampled_from(sorted(PLACEMENTS)), order=st.sampled_from(ORDER_NAMES)
)
RUNS = st.lists(
    st.builds(
        TracedRun,
        arrival_s=st.integers(0, 40).map(float),
        duration_s=st.integers(1, 15).map(float),
        team=st.sampled_from("abc"),
        device=st.sampled_from(["cpu", "cuda"]),
        predicted_s=st.integers(1, 15).map(float),
    ),
    min_size=1,
    max_size=12,
).map(lambda runs: sorted(runs, key=lambda run: run.arrival_s))
SLOTS = {"cpu": 2, "cuda": 1}


def history(runs: list[TracedRun], policy: SchedulingPolicy) -> list[TracedRun]:
    """The runs, with the ends that the policy gives them."""
    ended_s = simulate(stream_of(runs), Setting(slots=SLOTS, policy=policy), 1).ended_s
    first_s = runs[0].arrival_s
    return [TracedRun(**{**vars(run), "ended_s": first_s + end}) for run, end in zip(runs, ended_s, strict=True)]


@settings(deadline=None)
@given(runs=RUNS, policy=POLICIES)
def test_the_policy_that_made_a_history_makes_it_again(runs: list[TracedRun], policy: SchedulingPolicy) -> None:
    """Also from the file that the leader writes: every figure of what happened is the policy's."""
    written = "".join(lines_of(history(runs, policy)))
    found = replay(read_runs(written, "history"), SLOTS, [policy])
    happened, figures = found.happened, found.policies[0].figures
    assert happened.mean_completion_s == pytest.approx(figures.mean_completion_s)
    assert happened.p99_completion_s == pytest.approx(figures.p99_completion_s)
    assert happened.max_wait_s == pytest.approx(figures.max_wait_s, abs=1e-6)
    assert happened.jain_index == pytest.approx(figures.jain_index)
    assert found.policies[0].over_happened.value == pytest.approx(1.0)


@settings(deadline=None)
@given(runs=RUNS, policy=POLICIES, other=POLICIES)
def test_no_replay_is_below_the_bound_and_no_team_s_is(
    runs: list[TracedRun], policy: SchedulingPolicy, other: SchedulingPolicy
) -> None:
    """A team's bound is of its runs alone, which the others' can only delay."""
    past = history(runs, policy)
    for team in (None, *sorted({run.team for run in runs})):
        for replayed in replay(past, SLOTS, [policy, other], team=team).policies:
            assert replayed.figures.ratio_to_bound.value >= 1 - 1e-9


@settings(deadline=None)
@given(runs=RUNS, policy=POLICIES)
def test_with_a_slot_for_every_run_nobody_waits(runs: list[TracedRun], policy: SchedulingPolicy) -> None:
    """Each completion is the run's duration, under every policy that does not bind to a busy slot."""
    late = SchedulingPolicy(order=policy.order)
    found = replay(history(runs, policy), {"cpu": len(runs), "cuda": len(runs)}, [late]).policies[0].figures
    assert found.mean_completion_s == pytest.approx(np.mean([run.duration_s for run in runs]))
    assert found.max_wait_s == 0.0
    assert found.ratio_to_bound.value == pytest.approx(1.0)


@settings(deadline=None)
@given(runs=RUNS, policy=POLICIES, shift_s=st.integers(-(10**6), 10**6))
def test_when_a_history_began_changes_nothing(runs: list[TracedRun], policy: SchedulingPolicy, shift_s: int) -> None:
    """Only differences of times count."""
    past = history(runs, policy)
    later = [
        TracedRun(**{**vars(run), "arrival_s": run.arrival_s + shift_s, "ended_s": (run.ended_s or 0.0) + shift_s})
        for run in past
    ]
    assert replay(later, SLOTS, [policy]) == replay(past, SLOTS, [policy])


@settings(deadline=None)
@given(
    runs=RUNS,
    policy=POLICIES,
    deaths_per_day=st.sampled_from([0.0, 2000.0]),
    stop_early=st.sampled_from([0.0, 0.3]),
)
def test_deaths_and_early_stops_leave_every_run_ended_once_and_above_the_bound(
    runs: list[TracedRun], policy: SchedulingPolicy, deaths_per_day: float, stop_early: float
) -> None:
    """Its last attempt is whole; two classes of devices, followers that die every 43 s on average."""
    setting = Setting(slots=SLOTS, policy=policy, deaths_per_day=deaths_per_day, outage_s=20.0, stop_early=stop_early)
    outcome = simulate(stream_of(runs), setting, 1)
    assert np.allclose(outcome.ended_s - outcome.started_s, outcome.taken_s)
    assert np.allclose(outcome.taken_s, [run.duration_s * (1 - stop_early) for run in runs])
    assert (outcome.wait_s >= 0).all()
    assert outcome.ratio_to_bound >= 1 - 1e-9
