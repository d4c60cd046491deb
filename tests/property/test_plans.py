"""What holds for the plan of any workload that a job file can ask for, and for its slices."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.workloads import workloads

from shared.jobs.workload import WorkloadSpec
from shared.workload.arrivals import make_plan
from shared.workload.plan import Plan
from shared.workload.slices import busy_workers, slice_of

TRACE_NS = np.arange(500, dtype=np.int64) ** 2 * 20_000


def plan_of(spec: WorkloadSpec, payloads: int) -> Plan:
    """Its plan, with a trace if it replays one."""
    return make_plan(spec, payloads, TRACE_NS if spec.pattern == "trace" else None)


def dealt(parts: list[npt.NDArray[np.int64]]) -> list[int]:
    """The rows of all parts, one of each part in turn."""
    longest = max(len(part) for part in parts)
    return [int(part[row]) for row in range(longest) for part in parts if row < len(part)]


@given(spec=workloads(), payloads=st.integers(1, 50))
def test_a_plan_is_ascending_and_inside_its_span(spec: WorkloadSpec, payloads: int) -> None:
    """Whatever the law and its numbers: no due time is negative, out of order or past the end; each has a payload."""
    plan = plan_of(spec, payloads)
    assert (np.diff(plan.due_ns, prepend=0) >= 0).all()
    assert (plan.due_ns < plan.end_ns).all()
    assert plan.due_ns.dtype == np.int64
    assert plan.payload.dtype == np.int32
    assert len(plan.payload) == len(plan.due_ns) or plan.concurrency
    assert ((plan.payload >= 0) & (plan.payload < payloads)).all()


@given(spec=workloads())
def test_a_seed_gives_the_same_plan_bit_for_bit(spec: WorkloadSpec) -> None:
    """A plan is a function of the job file: drawn twice, it is the same to the last bit."""
    one, other = plan_of(spec, 7), plan_of(spec, 7)
    assert one.due_ns.tobytes() == other.due_ns.tobytes()
    assert one.payload.tobytes() == other.payload.tobytes()
    assert one.sha256 == other.sha256


@given(spec=workloads(), workers=st.integers(1, 40))
def test_the_slices_of_a_plan_are_the_plan(spec: WorkloadSpec, workers: int) -> None:
    """Rows dealt in turn, slots and cap shared out: together bit for bit the plan, for any number of workers."""
    plan = plan_of(spec, 11)
    slices = [slice_of(plan, worker, workers) for worker in range(workers)]
    busy = slices[: busy_workers(plan, workers)]
    assert dealt([part.due_ns for part in busy]) == plan.due_ns.tolist()
    assert dealt([part.payload.astype(np.int64) for part in busy]) == plan.payload.tolist()
    for whole, shares in [
        (plan.concurrency, [part.concurrency for part in slices]),
        (plan.max_in_flight, [part.max_in_flight for part in slices]),
    ]:
        assert whole is None or (sum(share or 0 for share in shares) == whole and None not in shares)
        assert whole is not None or set(shares) == {None}
    if plan.rate_rps is not None:
        assert sum(part.rate_rps or 0.0 for part in slices) == pytest.approx(plan.rate_rps)


@given(spec=workloads(), workers=st.integers(1, 40))
def test_no_slice_has_work_that_it_may_not_do(spec: WorkloadSpec, workers: int) -> None:
    """A worker without a share of the cap or of the slots has nothing to send; those that have some differ by one."""
    plan = plan_of(spec, 11)
    slices = [slice_of(plan, worker, workers) for worker in range(workers)]
    for part in slices:
        if 0 in (part.max_in_flight, part.concurrency):
            assert len(part.due_ns) == len(part.payload) == 0
    shares = [part.concurrency for part in slices if part.concurrency]
    assert not shares or max(shares) - min(shares) <= 1
    kept = {(part.pattern, part.seed, part.warmup_ns, part.duration_ns, part.think_time_ns) for part in slices}
    assert kept == {(plan.pattern, plan.seed, plan.warmup_ns, plan.duration_ns, plan.think_time_ns)}
