"""A hand-made history under other policies: every figure worked by hand."""

from typing import Any

import numpy as np
import pytest

from shared.errors import InvalidInput, NotFound
from shared.scheduling.policy import DEFAULT, SchedulingPolicy, policy_named
from shared.scheduling.replay import USUAL, Replay, policies_of, replay
from shared.scheduling.stream_file import TracedRun

FIRST, SHORTEST = policy_named("first-come"), policy_named("shortest-first")
ONE = {"cpu": 1}


def ran(arrival_s: float, duration_s: float, ended_s: float, **more: Any) -> TracedRun:
    """A run of the history; predicted exactly, if nothing else is said."""
    said = {"predicted_s": duration_s, **more}
    return TracedRun(arrival_s=arrival_s, duration_s=duration_s, ended_s=ended_s, **said)


HISTORY = [ran(100, 10, 110), ran(101, 5, 115), ran(102, 2, 117, team="b")]
"""One slot, first come first served: while 10 s run, 5 s and 2 s arrive. Completions 10, 14 and 15."""


def means(found: Replay) -> list[float]:
    """Mean completion times of the policies."""
    return [replayed.figures.mean_completion_s for replayed in found.policies]


def test_a_replay_gives_the_means_worked_by_hand() -> None:
    """First-come as it was, 39 / 3; shortest-first ends the 2 s at 112 and the 5 s at 117, 36 / 3."""
    found = replay(HISTORY, ONE, [FIRST, SHORTEST])
    assert means(found) == pytest.approx([13.0, 12.0])
    shortest = found.policies[1]
    assert shortest.over_in_force.value == shortest.over_happened.value == pytest.approx(36 / 39)
    assert (shortest.figures.max_wait_s, shortest.figures.p95_completion_s) == (11.0, 16.0)
    assert found.policies[0].over_in_force.value == found.policies[0].over_happened.value == pytest.approx(1.0)


def test_what_happened_is_told_beside_the_policies() -> None:
    """Slowdowns 1, 14/5 and 15/2; waits 0, 9 and 13; team a's speed 1 / 1.9, team b's 1 / 7.5."""
    happened = replay(HISTORY, ONE, [FIRST]).happened
    assert (happened.runs, happened.mean_completion_s, happened.p95_completion_s) == (3, 13.0, 15.0)
    assert happened.mean_wait_s == pytest.approx(22 / 3)
    assert happened.max_wait_s == 13.0
    assert happened.mean_slowdown == pytest.approx((1 + 2.8 + 7.5) / 3)
    speeds = np.array([1 / 1.9, 1 / 7.5])
    assert happened.jain_index == pytest.approx(speeds.sum() ** 2 / (2 * (speeds**2).sum()))


def test_a_policy_is_shown_what_was_predicted_then_and_not_the_truth() -> None:
    """The 5 s were predicted as 1 s: shortest-first then takes them first, as it would have."""
    misled = [HISTORY[0], ran(101, 5, 115, predicted_s=1.0), HISTORY[2]]
    assert means(replay(misled, ONE, [SHORTEST])) == pytest.approx([13.0])


def test_more_slots_than_there_were_make_every_run_start_at_once() -> None:
    """Then each takes its own time, and against what happened that is the sum of durations."""
    found = replay(HISTORY, {"cpu": 3}, [FIRST])
    assert means(found) == pytest.approx([17 / 3])
    assert found.policies[0].over_happened.value == pytest.approx(17 / 39)
    assert found.policies[0].figures.ratio_to_bound.value == pytest.approx(1.0)


def test_a_team_s_figures_are_of_its_runs_while_the_others_compete() -> None:
    """Team b's 2 s wait for the others' 10 s under any policy, and under first-come for the 5 s too."""
    found = replay(HISTORY, ONE, [FIRST, SHORTEST], team="b")
    assert means(found) == [15.0, 10.0]
    assert (found.happened.runs, found.happened.mean_completion_s, found.team) == (1, 15.0, "b")
    assert found.policies[1].figures.ratio_to_bound.value == pytest.approx(5.0)  # alone it would take 2 s
    with pytest.raises(NotFound, match="it has runs of a, b"):
        replay(HISTORY, ONE, [FIRST], team="c")


def test_idle_time_beside_a_queue_is_the_slots_whoever_s_runs_are_told() -> None:
    """Round-robin on two slots binds the first and third run to one: 8 s idle of 12 s on two slots."""
    runs = [ran(0, 10, 10), ran(0, 2, 2), ran(0, 2, 12, team="b")]
    for team in (None, "b"):
        found = replay(runs, {"cpu": 2}, [policy_named("round-robin+first-come")], team=team)
        assert found.policies[0].figures.idle_while_waiting == pytest.approx(8 / 24)


def test_an_empty_history_says_so() -> None:
    """There is nothing to replay."""
    with pytest.raises(NotFound, match="no run to replay"):
        replay([], ONE, [FIRST])


def test_a_device_class_without_slots_is_told_with_what_to_write() -> None:
    """The history may be older than the cluster."""
    with pytest.raises(InvalidInput, match="--slots cpu=1,cuda=1"):
        replay([*HISTORY, ran(103, 1, 120, device="cuda")], ONE, [FIRST])


def test_a_run_without_an_end_is_refused() -> None:
    """What really happened would not be known."""
    with pytest.raises(InvalidInput, match="when it ended"):
        replay([TracedRun(arrival_s=0, duration_s=1)], ONE, [FIRST])


def test_the_policies_are_the_one_in_force_and_then_those_named() -> None:
    """Each once; what is not named stays as it is in force. Without names, the usual ones."""
    in_force = SchedulingPolicy(order="shortest-first-aged", aging=0.5)
    found = policies_of(["first-come", "shortest-first-aged", "queue-aware"], in_force)
    assert [policy.name for policy in found] == [
        "late-binding+shortest-first-aged", "late-binding+first-come", "queue-aware+fair-share",
    ]  # fmt: skip
    assert {policy.aging for policy in found} == {0.5}
    assert [policy.name for policy in policies_of([], DEFAULT)] == [DEFAULT.name, *USUAL]


def test_an_unknown_policy_lists_the_known_ones() -> None:
    """Before anything is replayed."""
    with pytest.raises(InvalidInput, match="first-come, shortest-first"):
        policies_of(["fastest"], DEFAULT)
