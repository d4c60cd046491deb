"""A plan shared out, in small numbers that can be followed by hand."""

import pytest
from support.workloads import workload

from shared.errors import InvalidInput
from shared.workload.arrivals import make_plan
from shared.workload.slices import busy_workers, slice_of

MS = 1_000_000


def test_rows_of_an_open_plan_are_dealt_in_turn() -> None:
    """Ten requests at 100 ms for three workers: the first gets one more."""
    plan = make_plan(workload(pattern="constant", rate=10, warmup="0s", duration="1s"), 4)
    parts = [slice_of(plan, worker, 3) for worker in range(3)]
    assert [part.due_ns.tolist() for part in parts] == [
        [0, 300 * MS, 600 * MS, 900 * MS],
        [100 * MS, 400 * MS, 700 * MS],
        [200 * MS, 500 * MS, 800 * MS],
    ]
    assert parts[1].payload.tolist() == plan.payload[1::3].tolist()
    assert [part.rate_rps for part in parts] == pytest.approx([10 / 3] * 3)


def test_slots_of_a_closed_plan_are_shared_out() -> None:
    """Eight slots for three workers are 3, 3 and 2; the pause between requests is everyone's."""
    plan = make_plan(workload(pattern="closed", concurrency=8, think_time="5ms"), 4)
    parts = [slice_of(plan, worker, 3) for worker in range(3)]
    assert [part.concurrency for part in parts] == [3, 3, 2]
    assert {part.think_time_ns for part in parts} == {5 * MS}
    assert parts[2].payload.tolist() == plan.payload[2::3].tolist()
    assert {part.rate_rps for part in parts} == {None}


@pytest.mark.parametrize(
    ("fields", "busy"),
    [
        ({"pattern": "closed", "concurrency": 2}, 2),
        ({"pattern": "constant", "rate": 10, "max_in_flight": 3}, 3),
        ({"pattern": "constant", "rate": 10}, 5),
        ({"pattern": "mlperf", "scenario": "single-stream"}, 1),
    ],
)
def test_no_more_workers_are_busy_than_there_is_something_for(fields: dict[str, object], busy: int) -> None:
    """Of five workers, those without a slot or a share of the cap would have nothing, or could never send it."""
    plan = make_plan(workload(**fields), 4)
    assert busy_workers(plan, 5) == busy
    idle = [slice_of(plan, worker, 5) for worker in range(busy, 5)]
    assert all(len(part.due_ns) == len(part.payload) == 0 for part in idle)
    assert all(part.concurrency in (0, None) for part in idle)


def test_a_single_worker_gets_the_plan() -> None:
    """Its slice has the plan's own digest."""
    plan = make_plan(workload(pattern="poisson", rate=100, max_in_flight=5), 4)
    assert slice_of(plan, 0, 1).sha256 == plan.sha256


@pytest.mark.parametrize(("worker", "workers"), [(3, 3), (-1, 3), (0, 0)])
def test_a_worker_that_does_not_exist_is_refused(worker: int, workers: int) -> None:
    """They count from 0."""
    plan = make_plan(workload(pattern="closed"), 4)
    with pytest.raises(InvalidInput, match=f"no worker {worker} of {workers}"):
        slice_of(plan, worker, workers)
