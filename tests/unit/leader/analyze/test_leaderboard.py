"""Ranking, by its definition."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.stored_records import START, entry

from leader.analyze.leaderboard import metric_named, rank, view_of
from leader.perfdb.entities import LeaderboardEntry, Task
from leader.perfdb.record_documents import entry_from_document, entry_to_document
from shared.errors import InvalidInput
from shared.measure.metrics import METRICS, Metric

P99, RPS = METRICS["p99_ms"], METRICS["throughput_rps"]


def entries(*values: float | None, metric: str = "p99_ms") -> list[LeaderboardEntry]:
    """One for each value, in the order of submission."""
    return [entry(f"run-{number}", metrics={metric: value}) for number, value in enumerate(values)]


def test_the_metrics_polarity_decides_what_is_best() -> None:
    """Low latency, high throughput."""
    assert [row.value for row in rank(entries(3.0, 1.0, 2.0), P99)] == [1.0, 2.0, 3.0]
    assert [row.value for row in rank(entries(3.0, 1.0, 2.0, metric="throughput_rps"), RPS)] == [3.0, 2.0, 1.0]


def test_equals_share_a_rank_and_the_newer_stands_first() -> None:
    """1, 2, 2, 4."""
    rows = rank(entries(1.0, 2.0, 2.0, 3.0), P99)
    assert [(row.rank, row.run_id) for row in rows] == [(1, "run-0"), (2, "run-2"), (2, "run-1"), (4, "run-3")]


@pytest.mark.parametrize("metric", [P99, RPS])
def test_who_has_no_number_comes_last(metric: Metric) -> None:
    """In both directions, and never as zero."""
    rows = rank(entries(None, 5.0, None, metric=metric.name), metric)
    assert [(row.rank, row.value) for row in rows] == [(1, 5.0), (2, None), (2, None)]


@pytest.mark.parametrize("doubtful", ["client-limited", "overloaded", "drifting"])
def test_only_invalid_is_not_ranked(doubtful: str) -> None:
    """A number that is not a measurement has no rank, however good; a doubtful one has, and says what it is."""
    best, other, worst = entries(0.1, 1.0, 2.0)
    rows = rank([replace(best, verdict="invalid"), replace(other, verdict=doubtful), worst], P99)
    assert [(row.rank, row.run_id, row.verdict) for row in rows] == [(1, "run-1", doubtful), (2, "run-2", "stable")]


def test_a_stand_in_is_never_ranked_as_what_it_stands_in_for() -> None:
    """Its rows carry its own platform's name, also where both stand in one list."""
    stand_in, real = entries(1.0, 2.0)
    rows = rank([replace(stand_in, platform="tfs-compat"), replace(real, platform="tfserving")], P99)
    assert [(row.run_id, row.platform) for row in rows] == [("run-0", "tfs-compat"), ("run-1", "tfserving")]


VALUES = st.lists(st.none() | st.floats(-1e12, 1e12), max_size=30)


@given(VALUES, st.sampled_from([P99, RPS]))
def test_a_rank_is_one_more_than_the_number_of_better_ones(values: list[float | None], metric: Metric) -> None:
    """For any values."""
    rows = rank(entries(*values, metric=metric.name), metric)
    assert len(rows) == len(values)
    sign = -1 if metric.higher_is_better else 1
    key = [float("inf") if value is None else sign * value for value in values]
    for row in rows:
        mine = float("inf") if row.value is None else sign * row.value
        assert row.rank == 1 + sum(other < mine for other in key)


@given(VALUES)
def test_an_entry_survives_storage(values: list[float | None]) -> None:
    """Scores are stored so that higher is better, and come back as they were."""
    for metric in ("p99_ms", "throughput_rps"):
        for one in entries(*values, metric=metric):
            assert entry_from_document(entry_to_document(one)) == one


def test_groups_stay_in_order_and_empty_ones_are_left_out() -> None:
    """The view says unit and direction."""
    tasks = [Task(comparability_key=key, facts={"k": key}, record_count=7, last_at=START) for key in "abc"]
    view = view_of(P99, [(tasks[0], entries(1.0)), (tasks[1], []), (tasks[2], entries(2.0))])
    assert [(group.comparability_key, group.record_count) for group in view.groups] == [("a", 7), ("c", 7)]
    assert (view.metric, view.unit, view.higher_is_better) == ("p99_ms", "ms", False)


def test_an_unknown_metric_is_refused_with_the_nearest() -> None:
    """And with all that there are."""
    with pytest.raises(InvalidInput) as error:
        metric_named("p99")
    (problem,) = error.value.problems
    assert problem.suggestion == "p99_ms"
    assert "throughput_rps" in (problem.allowed or "")
