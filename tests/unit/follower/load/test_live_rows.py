"""Rows of a run that is still going on: each once, as soon as it ended, in whatever order it ended."""

import os
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from support.samples import MS, closed_plan, open_plan

from follower.load.live import LiveTable, LiveTables
from follower.load.samples import SampleTable, WrittenRows, new_table_file
from shared.measure.columns import COLUMNS
from shared.workload.plan import Plan

ORIGIN_NS = 1_000 * MS


class Writer:
    """A sender's side of one table, and its reader's."""

    def __init__(self, file: int, plan: Plan) -> None:
        self._table = SampleTable(file, 10)
        self.written = WrittenRows(file)
        self.plan = plan
        self.live = LiveTable(self.written, plan, ORIGIN_NS)

    def end(self, *rows: int) -> None:
        """These requests have ended."""
        for row in rows:
            self._table.write(row, row, *[1] * (len(COLUMNS) - 1))

    def take(self, after_ms: float) -> list[int]:
        """The numbers of the rows that are new at this time."""
        due: list[int] = self.live.take(ORIGIN_NS + round(after_ms * MS))["due_ns"].tolist()
        return due


@pytest.fixture
def files() -> Iterator[list[int]]:
    """Two empty tables."""
    opened = [new_table_file("a"), new_table_file("b")]
    yield opened
    for file in opened:
        os.close(file)


def test_rows_of_an_open_plan_come_once_in_whatever_order_they_end(files: list[int]) -> None:
    """A request that hangs comes when it has ended, long after its neighbours."""
    writer = Writer(files[0], open_plan([0, 1, 2, 3, 4], warmup_ms=0, duration_ms=10))
    assert writer.take(0.5) == []
    writer.end(0, 2)
    assert writer.take(2.5) == [0, 2]
    assert writer.take(2.5) == []
    writer.end(3)
    assert writer.take(9) == [3]
    writer.end(4, 1)
    assert sorted(writer.take(10)) == [1, 4]
    assert writer.take(10) == []


def test_rows_of_a_closed_plan_come_once_past_slots_that_hang(files: list[int]) -> None:
    """Nine of ten slots hang while one goes on for thousands of requests: further than is looked at together."""
    writer = Writer(files[0], closed_plan(10, warmup_ms=0, duration_ms=10))
    writer.end(*range(9, 5_000))
    assert writer.take(1) == list(range(9, 5_000))
    writer.end(*range(5_000, 20_000))
    assert writer.take(2) == list(range(5_000, 20_000))
    writer.end(*range(9))
    assert writer.take(3) == list(range(9))
    assert writer.take(3) == []


def test_more_slots_than_are_looked_at_together_hide_nothing(files: list[int]) -> None:
    """4,096 slots hang, and the next one's row is found behind them."""
    writer = Writer(files[0], closed_plan(4_097, warmup_ms=0, duration_ms=10))
    writer.end(4_096)
    assert writer.take(1) == [4_096]


def test_random_ends_come_out_exactly_once(files: list[int]) -> None:
    """500 requests end in random order, ten at a time; every row is seen once and none before it ended."""
    random = np.random.default_rng(11)
    writer = Writer(files[0], open_plan([0.1 * i for i in range(500)], warmup_ms=0, duration_ms=60))
    ended: set[int] = set()
    seen: list[int] = []
    for rows in random.permutation(500).reshape(50, 10):
        writer.end(*rows.tolist())
        ended |= set(rows.tolist())
        seen += writer.take(60)
        assert set(seen) == ended
    assert sorted(seen) == list(range(500))


def test_rows_of_all_workers_are_merged(files: list[int]) -> None:
    """Two slices of one plan, as columns ordered by due time."""
    plan = open_plan([0, 1, 2, 3], warmup_ms=0, duration_ms=10)
    writers = [Writer(file, replace(plan, due_ns=plan.due_ns[w::2])) for w, file in enumerate(files)]
    live = LiveTables([(w.written, w.plan) for w in writers], ORIGIN_NS, clock_ns=lambda: ORIGIN_NS + 5 * MS)
    writers[0].end(1)
    writers[1].end(0)
    columns = live.take()
    assert columns["due_ns"].tolist() == [0, 1]
    assert list(columns) == list(COLUMNS)
    assert len(live.take()["due_ns"]) == 0
