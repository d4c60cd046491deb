"""Putting the workers' rows together, and counting how many requests were in flight at once."""

import itertools

import numpy as np
import numpy.typing as npt
import pytest

from follower.load.merge import merge_rows
from follower.load.outcome import merge_answers
from follower.load.samples import RECORD
from shared.measure.columns import COLUMNS, NOT_AVAILABLE
from shared.measure.little import most_in_flight


def rows_of(worker: int, due_ns: list[int]) -> npt.NDArray[np.void]:
    """One worker's rows: due at these times, numbered in ``payload``."""
    rows = np.zeros(len(due_ns), dtype=RECORD)
    rows["due_ns"], rows["worker"] = due_ns, worker
    rows["payload"] = np.arange(len(due_ns))
    return rows


def test_rows_are_ordered_by_due_time_then_worker_then_their_own_order() -> None:
    """Equal due times keep each worker's order."""
    columns = merge_rows([rows_of(0, [5, 5, 20]), rows_of(1, [1, 5, 30])])
    assert columns["due_ns"].tolist() == [1, 5, 5, 5, 20, 30]
    assert columns["worker"].tolist() == [1, 0, 0, 1, 0, 1]
    assert columns["payload"].tolist() == [0, 0, 1, 1, 2, 2]
    assert {name: column.dtype.name for name, column in columns.items()} == COLUMNS


def test_merged_shards_equal_the_whole() -> None:
    """Every third row of 1,000 to each of three workers, merged: the whole, with every column."""
    random = np.random.default_rng(3)
    whole = np.zeros(1_000, dtype=RECORD)
    for name in COLUMNS:
        whole[name] = random.integers(0, 1000, 1_000)
    whole["due_ns"] = np.sort(random.integers(0, 10**9, 1_000)) * 1_000 + np.arange(1_000)
    merged = merge_rows([whole[worker::3] for worker in range(3)])
    for name in COLUMNS:
        assert (merged[name] == whole[name]).all()


def test_no_rows_are_columns_without_rows() -> None:
    """Nothing was sent, and nothing is wrong with that."""
    for columns in (merge_rows([]), merge_rows([rows_of(0, [])])):
        assert {name: (column.dtype.name, len(column)) for name, column in columns.items()} == {
            name: (kind, 0) for name, kind in COLUMNS.items()
        }
        assert most_in_flight(columns) == 0


def brute_force(spans: list[tuple[int, int]]) -> int:
    """The largest number of spans [start, end) that hold one moment, by trying every start."""
    return max(sum(start <= moment < end for start, end in spans) for moment, _ in spans)


@pytest.mark.parametrize("seed", range(20))
def test_most_in_flight_is_what_trying_every_moment_gives(seed: int) -> None:
    """Random spans, with equal stamps among them."""
    random = np.random.default_rng(seed)
    starts = random.integers(0, 60, 40)
    ends = starts + random.integers(1, 30, 40)
    columns = {"start_ns": starts.astype(np.int64), "done_ns": ends.astype(np.int64)}
    assert most_in_flight(columns) == brute_force(list(zip(starts.tolist(), ends.tolist(), strict=True)))


def test_what_was_never_taken_up_is_not_in_flight() -> None:
    """A not-sent row has no stamps."""
    columns = {"start_ns": np.array([NOT_AVAILABLE, 5]), "done_ns": np.array([NOT_AVAILABLE, 9])}
    assert most_in_flight(columns) == 1


def test_a_slot_that_is_used_again_at_once_is_one_slot() -> None:
    """The next request of a closed loop may be taken up in the nanosecond in which the last one ended."""
    moments = list(itertools.pairwise([0, 10, 20, 30]))
    columns = {"start_ns": np.array([start for start, _ in moments]), "done_ns": np.array([end for _, end in moments])}
    assert most_in_flight(columns) == 1


def test_each_payload_has_the_first_answer_that_any_worker_got() -> None:
    """Workers see different payloads."""
    assert merge_answers([("a", None, None), (None, "b", None), ("c", "d", None)]) == ("a", "b", None)
