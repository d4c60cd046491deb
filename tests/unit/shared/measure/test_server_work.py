"""The server's own counters over the window, and its stages joined to the requests that they belong to."""

import numpy as np
import pytest

from shared.measure.columns import COLUMNS, ERROR_KINDS, NOT_AVAILABLE
from shared.measure.joined_stages import with_stages
from shared.measure.server_work import CounterReading, server_work

S = 1_000_000_000
NONE = np.zeros(0, np.int64)
FIRST = CounterReading(at_ns=10 * S, inferences=100, executions=60, queue_ns=5_000_000, batches={"1": 40, "3": 20})
LAST = CounterReading(at_ns=20 * S, inferences=400, executions=160, queue_ns=9_000_000, batches={"1": 40, "3": 120})


def test_the_window_s_work_is_the_difference_of_its_edges() -> None:
    """What came before does not count."""
    work = server_work([FIRST, LAST], 9 * S)
    assert work is not None
    assert (work.from_s, work.to_s) == (1.0, 11.0)
    assert (work.inferences, work.executions, work.batch_size_mean) == (300, 100, 3.0)
    assert work.batches == {"3": 100}
    assert work.queue_ms == 4.0
    assert work.inference_ms is None


@pytest.mark.parametrize("readings", [(), (FIRST,), (LAST, FIRST.model_copy(update={"at_ns": 30 * S}))])
def test_without_two_readings_of_one_server_nothing_is_said(readings: tuple[CounterReading, ...]) -> None:
    """Counters that ran backwards are another server's."""
    assert server_work(readings, 0) is None


def test_a_server_that_did_nothing_has_no_mean_batch() -> None:
    """None is not zero."""
    work = server_work([FIRST, FIRST.model_copy(update={"at_ns": 20 * S})], 0)
    assert work is not None
    assert work.batch_size_mean is None
    assert work.batches == {}


def rows(count: int) -> dict[str, np.ndarray]:
    """Successful requests whose server said nothing."""
    columns = {name: np.zeros(count, dtype=kind) for name, kind in COLUMNS.items()}
    for name in ("server_queue_ns", "server_inference_ns"):
        columns[name][:] = NOT_AVAILABLE
    return columns


def joined(columns: dict[str, np.ndarray], numbers: list[int], stages: dict[int, tuple[int, int]]) -> list[list[int]]:
    """Queue and inference of each row afterwards."""
    durations = np.array(list(stages.values()), np.int64).reshape(-1, 2)
    found = with_stages(
        columns,
        np.array(numbers, np.int64),
        request_id=np.array(list(stages), np.int64),
        queue_ns=durations[:, 0],
        inference_ns=durations[:, 1],
    )
    pairs = zip(found["server_queue_ns"].tolist(), found["server_inference_ns"].tolist(), strict=True)
    return [list(pair) for pair in pairs]


def test_each_request_gets_the_stages_of_its_own_number() -> None:
    """In whatever order the server wrote them; a request that it did not write down stays without."""
    assert joined(rows(3), [4, 7, 2], {7: (70, 700), 9: (90, 900), 4: (40, 400)}) == [[40, 400], [70, 700], [-1, -1]]


def test_what_an_answer_said_itself_stays() -> None:
    """It is closer to the request than any trace."""
    columns = rows(2)
    columns["server_queue_ns"][0] = 1
    columns["server_inference_ns"][0] = 2
    assert joined(columns, [0, 1], {0: (10, 20), 1: (30, 40)}) == [[1, 2], [30, 40]]


def test_a_request_that_failed_gets_no_stages() -> None:
    """The server may have executed it; the client has no latency to split."""
    columns = rows(1)
    columns["error"][0] = ERROR_KINDS.index("timeout")
    assert joined(columns, [0], {0: (10, 20)}) == [[-1, -1]]


def test_no_stages_leave_the_columns_as_they_are() -> None:
    """A trace may be empty."""
    columns = rows(2)
    assert with_stages(columns, np.arange(2), request_id=NONE, queue_ns=NONE, inference_ns=NONE) is columns
