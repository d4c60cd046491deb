"""The table in shared memory: what one process writes, another reads, also after the first was killed."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import numpy as np
import pytest

from follower.load.merge import merge_rows
from follower.load.samples import RECORD, ROW_BYTES, SampleTable, WrittenRows, new_table_file
from shared.measure.columns import COLUMNS


@pytest.fixture
def file() -> Iterator[int]:
    """An empty table."""
    descriptor = new_table_file("test")
    yield descriptor
    os.close(descriptor)


def row_of(number: int) -> dict[str, int]:
    """Distinct values for every column of a row, each within its type."""
    return {name: number + place for place, name in enumerate(COLUMNS)}


def test_a_table_gives_back_what_was_written_with_the_columns_own_types(file: int) -> None:
    """Rows in any order, across blocks, some of which were not set aside ahead."""
    table = SampleTable(file, 10)
    for row in (70_000, 3, 8_191, 8_192):
        table.write(row, *row_of(row % 1000).values())
    rows = WrittenRows(file).rows()
    assert np.flatnonzero(rows["written"]).tolist() == [3, 8_191, 8_192, 70_000]
    for row in (3, 8_191, 8_192, 70_000):
        assert {name: int(rows[name][row]) for name in COLUMNS} == row_of(row % 1000)
    columns = merge_rows([WrittenRows(file).all()])
    assert {name: column.dtype.name for name, column in columns.items()} == COLUMNS


def test_a_record_has_its_columns_side_by_side_and_its_mark_after_all_of_them() -> None:
    """So that a row whose mark is there is whole."""
    offsets = [RECORD.fields[name][1] for name in COLUMNS] if RECORD.fields else []
    sizes = [np.dtype(kind).itemsize for kind in COLUMNS.values()]
    assert offsets == np.cumsum([0, *sizes[:-1]]).tolist()
    assert RECORD.fields is not None
    assert RECORD.fields["written"][1] == sum(sizes)
    assert RECORD.itemsize == ROW_BYTES


def test_rows_without_a_gap_are_read_without_a_copy(file: int) -> None:
    """Ten million of them are not kept twice."""
    table = SampleTable(file, 3)
    for row in range(3):
        table.write(row, *row_of(row).values())
    written = WrittenRows(file)
    assert np.shares_memory(written.all(), written.rows())
    assert written.all()["due_ns"].tolist() == [0, 1, 2]


def test_rows_that_never_came_are_left_out(file: int) -> None:
    """A killed sender leaves holes: the requests that had no answer yet."""
    table = SampleTable(file, 5)
    for row in (0, 2, 4):
        table.write(row, *row_of(row).values())
    assert WrittenRows(file).all()["due_ns"].tolist() == [0, 2, 4]


def test_an_empty_table_has_no_rows(file: int) -> None:
    """Neither before it was set up nor after."""
    assert len(WrittenRows(file).all()) == 0
    SampleTable(file, 0)
    assert len(WrittenRows(file).all()) == 0


def test_a_reader_sees_the_table_grow(file: int) -> None:
    """Rows written after the reader had looked, beyond what it had mapped."""
    written = WrittenRows(file)
    table = SampleTable(file, 1)
    assert len(written.all()) == 0
    for row in range(20_000):
        table.write(row, *row_of(row % 100).values())
    assert len(written.all()) == 20_000


WRITE_AND_HANG = """
import sys, time
from follower.load.samples import COLUMNS, SampleTable
table = SampleTable(int(sys.argv[1]), 10)
for row in range(10):
    table.write(row, *[row] * len(COLUMNS))
print("written", flush=True)
time.sleep(60)
"""


def test_rows_survive_the_process_that_wrote_them(file: int) -> None:
    """Killed without a chance to do anything, it leaves its rows to the parent."""
    command = [sys.executable, "-c", WRITE_AND_HANG, str(file)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, pass_fds=[file]) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"written\n"
        writer.send_signal(signal.SIGKILL)
    assert WrittenRows(file).all()["done_ns"].tolist() == list(range(10))


def test_a_row_is_written_in_microseconds(file: int) -> None:
    """Ten times what it takes on an idle machine is still allowed; a slow path of numpy would take more."""
    table = SampleTable(file, 20_000)
    values = tuple(row_of(10**15).values())[:7] + tuple(row_of(1).values())[7:]
    spent = []
    for start in range(0, 20_000, 1_000):
        began_ns = time.perf_counter_ns()
        for row in range(start, start + 1_000):
            table.write(row, *values)
        spent.append((time.perf_counter_ns() - began_ns) / 1_000)
    assert min(spent) < 10_000
