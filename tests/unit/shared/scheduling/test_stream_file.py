"""Traces with predictions and ends: read, written, refused line by line."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.errors import InvalidInput
from shared.scheduling.policy import policy_named
from shared.scheduling.simulate import Setting, simulate
from shared.scheduling.stream_file import COLUMNS, TracedRun, lines_of, read_runs, read_stream

SECONDS = st.integers(1, 10**9).map(lambda us: us / 1e6)
RUNS = st.builds(
    TracedRun,
    arrival_s=st.integers(0, 10**15).map(lambda us: us / 1e6),
    duration_s=SECONDS,
    team=st.sampled_from(["a", "vision", 'with "quotes"', "a,b"]),
    device=st.sampled_from(["cpu", "cuda"]),
    predicted_s=st.none() | SECONDS,
)


@settings(deadline=None)
@given(runs=st.lists(RUNS, max_size=8), took_s=SECONDS)
def test_what_is_written_is_read_again(runs: list[TracedRun], took_s: float) -> None:
    """In order of arrival, to the microsecond, whatever teams are called."""
    ended = [TracedRun(**{**vars(run), "ended_s": run.arrival_s + took_s}) for run in runs]
    found = read_runs("".join(lines_of(ended)), "history")
    expected = sorted(ended, key=lambda run: run.arrival_s)
    assert [(run.team, run.device) for run in found] == [(run.team, run.device) for run in expected]
    for name in ("arrival_s", "duration_s", "predicted_s", "ended_s"):
        for read, written in zip(found, expected, strict=True):
            value, truth = getattr(read, name), getattr(written, name)
            assert (value is None) == (truth is None)
            assert value is None or value == pytest.approx(truth, abs=2e-6)


def test_the_first_line_names_the_columns() -> None:
    """Also of a history without a run, which is no trace to simulate."""
    assert list(lines_of([])) == [",".join(COLUMNS) + "\n"]
    assert read_runs(next(lines_of([])), "history") == []
    with pytest.raises(InvalidInput, match="has no runs"):
        read_stream(next(lines_of([])), "history")


def test_a_prediction_in_the_trace_is_what_the_policy_is_shown() -> None:
    """While 10 s run, 5 s predicted as 1 s and 2 s predicted as themselves arrive: shortest-first takes the 5 s."""
    text = "arrival,duration,predicted\n0,10,\n1,5,1\n2,2,2\n"
    runs = read_stream(text, "t.csv")
    assert runs.predicted_s is not None
    assert [math.isnan(value) for value in runs.predicted_s] == [True, False, False]
    outcome = simulate(runs, Setting(slots={"cpu": 1}, policy=policy_named("shortest-first")), 1)
    assert outcome.ended_s.tolist() == [10, 15, 17]


def test_sigma_errs_only_where_the_trace_predicts_nothing() -> None:
    """Two traces in which each run has its prediction give the same schedule whatever sigma is."""
    head, shortest = "arrival,duration,predicted\n", policy_named("shortest-first")
    full = read_stream(head + "".join(f"{n},{10 + 7 * n % 5},{10 + 3 * n % 7}\n" for n in range(40)), "t.csv")
    bare = read_stream(head + "".join(f"{n},{10 + 7 * n % 5},\n" for n in range(40)), "t.csv")
    ends = {
        (name, sigma): simulate(runs, Setting(slots={"cpu": 2}, policy=shortest, sigma=sigma), 1).ended_s
        for name, runs in (("full", full), ("bare", bare))
        for sigma in (0.0, 2.0)
    }
    assert np.array_equal(ends["full", 0.0], ends["full", 2.0])
    assert not np.array_equal(ends["bare", 0.0], ends["bare", 2.0])


@pytest.mark.parametrize(
    ("cells", "told"),
    [
        ("0,1,-2,", "predicted is -2; allowed: more than 0, or nothing"),
        ("0,1,soon,", "predicted is soon"),
        ("0,1,inf,", "predicted is inf"),
        ("5,1,,5", "ended is 5; allowed: after the arrival, or nothing"),
        ("5,1,,later", "ended is later"),
        ("x,1,,9", "arrival is x"),
        ("0,0,,9", "duration is 0; allowed: more than 0"),
    ],
)
def test_a_value_that_cannot_be_is_told_with_its_line(cells: str, told: str) -> None:
    """The second of three lines; the others are right."""
    with pytest.raises(InvalidInput, match="1 lines are wrong") as caught:
        read_runs(f"arrival,duration,predicted,ended\n0,1,1,1\n{cells}\n7,1,1,9\n", "t.csv")
    (problem,) = caught.value.problems
    assert problem.line == 3
    assert str(problem).endswith(told) or told in str(problem)


def test_an_unknown_column_lists_the_known_ones() -> None:
    """A misspelt head is not taken for a column that nobody reads."""
    with pytest.raises(InvalidInput, match="arrival,duration,team,device,predicted,ended"):
        read_runs("arrival,duration,prediction\n0,1,1\n", "t.csv")
