"""The sender's pure parts: pacing, counting, the sample table and file, and when to spin."""

from pathlib import Path

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]
import pytest
from support.samples import MS, closed_plan, open_plan

from follower.load.in_flight import InFlight
from follower.load.pacing import NEVER, REST_NS, ClosedLoop, OpenLoop, pacing_of
from follower.load.protocol import EncodedRequest, HttpTarget, LoadRequest
from follower.load.samples import RECORD, SampleTable
from shared.measure.samples_file import read_samples, write_samples
from follower.load.sender import spin_ns
from follower.load.waiter import SPIN_NS
from shared.errors import InvalidInput
from shared.jobs.pipeline import PipelineSpec
from shared.measure.columns import COLUMNS
from shared.workload.plan import Plan


def test_open_loop_hands_out_every_due_time_once_and_waits_for_nobody() -> None:
    """Late or not, answered or not: the plan's times, from the origin, in order."""
    pacing = OpenLoop(open_plan([0, 10, 10, 30], warmup_ms=0, duration_ms=50), 1000)
    taken = []
    while pacing.next_due_ns() < NEVER:
        taken.append(pacing.take())
        pacing.freed(10**12, rest=True)
    assert taken == [1000, 1000 + 10 * MS, 1000 + 10 * MS, 1000 + 30 * MS]


def test_closed_loop_keeps_its_slots_busy_until_the_end() -> None:
    """Each end makes one request due at that moment; after the plan's end none."""
    pacing = ClosedLoop(closed_plan(2, warmup_ms=10, duration_ms=20), 0)
    assert [pacing.take(), pacing.take()] == [0, 0]
    assert pacing.next_due_ns() == NEVER
    pacing.freed(7 * MS, rest=False)
    assert pacing.take() == 7 * MS
    pacing.freed(30 * MS, rest=False)
    assert pacing.next_due_ns() == NEVER


def test_closed_loop_rests_after_a_lost_connection_without_holding_up_other_slots() -> None:
    """A dead server is not asked as fast as it can refuse."""
    pacing = ClosedLoop(closed_plan(2, warmup_ms=0, duration_ms=1000), 0)
    pacing.take()
    pacing.take()
    pacing.freed(5, rest=True)
    pacing.freed(9, rest=False)
    assert [pacing.take(), pacing.take()] == [9, 5 + REST_NS]


def test_the_plan_chooses_its_pacing() -> None:
    """A concurrency makes a closed loop."""
    assert isinstance(pacing_of(closed_plan(1, warmup_ms=0, duration_ms=1), 0), ClosedLoop)
    assert isinstance(pacing_of(open_plan([], warmup_ms=0, duration_ms=1), 0), OpenLoop)


def test_in_flight_counts_peak_and_mean_inside_the_window() -> None:
    """Area under the count, clipped to [100, 200): 1 for all of it, 1 more for half, stamps in any order."""
    in_flight = InFlight(100, 200)
    in_flight.enter(0)
    in_flight.enter(150)
    in_flight.leave(250)
    in_flight.enter(260)
    in_flight.leave(220)
    in_flight.leave(270)
    assert (in_flight.count, in_flight.peak) == (0, 2)
    assert in_flight.mean() == 1.5


def row_of(number: int) -> dict[str, int]:
    """Distinct values for every column of a row, each within its type."""
    return {name: number + place for place, name in enumerate(COLUMNS)}


def test_sample_table_gives_back_what_was_written_with_the_columns_own_types() -> None:
    """Rows in any order, across blocks."""
    table = SampleTable(10)
    for row in (70_000, 3):
        table.write(row, *row_of(row % 1000).values())
    columns = table.columns()
    assert {name: column.dtype.name for name, column in columns.items()} == COLUMNS
    assert len(columns["due_ns"]) == 70_001
    assert {name: int(column[3]) for name, column in columns.items()} == row_of(3)
    assert {name: int(column[70_000]) for name, column in columns.items()} == row_of(0)


def test_a_record_has_no_holes() -> None:
    """The packed record and numpy's view of it agree byte for byte."""
    assert RECORD.itemsize == sum(np.dtype(kind).itemsize for kind in COLUMNS.values())


def test_samples_survive_the_file(tmp_path: Path) -> None:
    """Names, types, order and values; no partial file is left."""
    table = SampleTable(2)
    table.write(0, *row_of(7).values())
    table.write(1, *row_of(-1).values())
    path = tmp_path / "samples.parquet"
    write_samples(table.columns(), path)
    columns = read_samples(path)
    assert list(columns) == list(COLUMNS)
    assert {name: column.tolist() for name, column in columns.items()} == {
        name: [row_of(7)[name], row_of(-1)[name]] for name in COLUMNS
    }
    assert list(tmp_path.iterdir()) == [path]


def test_an_empty_table_is_a_file_too(tmp_path: Path) -> None:
    """A plan without a request leaves columns without a row."""
    write_samples(SampleTable(0).columns(), tmp_path / "empty.parquet")
    assert len(read_samples(tmp_path / "empty.parquet")["due_ns"]) == 0


def test_samples_of_another_shape_are_refused(tmp_path: Path) -> None:
    """Both ways: what is written and what is read must be exactly the columns."""
    with pytest.raises(InvalidInput, match="must have the columns"):
        write_samples({"due_ns": np.zeros(1, dtype=np.int64)}, tmp_path / "x.parquet")
    pq.write_table(pa.table({"due_ns": [1]}), tmp_path / "other.parquet")
    with pytest.raises(InvalidInput, match=r"other\.parquet must have the columns"):
        read_samples(tmp_path / "other.parquet")
    (tmp_path / "text.parquet").write_text("not parquet")
    with pytest.raises(InvalidInput, match=r"text\.parquet is not a samples file"):
        read_samples(tmp_path / "text.parquet")


def load_request(plan: Plan, *, own_core: bool) -> LoadRequest:
    """A request of which only the plan and the core matter."""
    return LoadRequest(
        plan=plan,
        target=HttpTarget(host="127.0.0.1", port=1, path="/"),
        encoded=[EncodedRequest(headers=b"", body=b"")],
        pipeline=PipelineSpec(),
        input_name="x",
        input_datatype="FP32",
        output_name="y",
        request_timeout_ns=MS,
        client_cores=(),
        own_core=own_core,
        samples_path=Path("unused"),
    )


def test_the_sender_spins_only_where_a_core_is_its_own_and_gaps_are_long() -> None:
    """A shared core is never burnt, and at most a tenth of an own one."""
    slow = open_plan([2.0 * i for i in range(50)], warmup_ms=0, duration_ms=100)
    fast = open_plan([0.5 * i for i in range(200)], warmup_ms=0, duration_ms=100)
    assert spin_ns(load_request(slow, own_core=True)) == SPIN_NS
    assert spin_ns(load_request(slow, own_core=False)) == 0
    assert spin_ns(load_request(fast, own_core=True)) == 0
    assert spin_ns(load_request(closed_plan(4, warmup_ms=0, duration_ms=100), own_core=True)) == 0
