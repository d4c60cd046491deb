"""A plan shared out over the sender's processes: each has a slice, and together they are the plan, exactly.

Rows are dealt in turn. Thinning a Poisson process by turns does not leave Poisson processes, and need not: what the
server sees is the union, and the union is the plan.
"""

from dataclasses import replace

from shared.errors import InvalidInput
from shared.workload.plan import Plan


def busy_workers(plan: Plan, workers: int) -> int:
    """How many of ``workers`` have something to do: no more than slots of a closed loop, or than a declared cap.

    A worker with a share of 0 of the cap could never send. Never below 1.
    """
    limits = (workers, plan.concurrency, plan.max_in_flight)
    return max(1, min(limit for limit in limits if limit is not None))


def slice_of(plan: Plan, worker: int, workers: int) -> Plan:
    """The part of ``plan`` that worker number ``worker`` of ``workers`` sends, counted from 0.

    Of an open plan: rows worker::busy, where busy = ``busy_workers(plan, workers)``. Of a closed one: its share of
    the slots, and the payload order worker::busy. The shares of ``max_in_flight`` sum to the plan's. A worker above
    the busy ones gets an empty slice.

    Raises:
        InvalidInput: there is no such worker.
    """
    if not 0 <= worker < workers:
        raise InvalidInput(f"there is no worker {worker} of {workers}; they count from 0")
    busy = busy_workers(plan, workers)
    rows = slice(worker, None, busy) if worker < busy else slice(0)
    return replace(
        plan,
        due_ns=plan.due_ns[rows],
        payload=plan.payload[rows],
        concurrency=_share(plan.concurrency, worker, busy),
        max_in_flight=_share(plan.max_in_flight, worker, busy),
        rate_rps=None if plan.rate_rps is None else plan.rate_rps / busy if worker < busy else 0.0,
    )


def _share(whole: int | None, worker: int, busy: int) -> int | None:
    """An equal share; the first workers take what is left over."""
    if whole is None:
        return None
    return whole // busy + (worker < whole % busy) if worker < busy else 0
