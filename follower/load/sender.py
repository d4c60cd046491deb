"""The sender process: ``python -m follower.load.sender JOBFILE``, started by ``follower.load.process_sender``.

It reads one pickled ``LoadRequest``, says on its standard output when the plan's zero falls, runs the loop, and
only then writes anything: the samples, then the outcome beside the job file.
"""

import contextlib
import gc
import json
import os
import pickle
import sys
import time
from pathlib import Path
from typing import Final

from follower.load.loop import LoadLoop
from follower.load.outcome import SendFailure, leave
from follower.load.pacing import pacing_of
from follower.load.pool import Pool
from follower.load.protocol import LoadOutcome, LoadRequest
from follower.load.samples import SampleTable
from follower.load.waiter import SPIN_NS, Waiter
from follower.load.work import Work, work_of
from shared.errors import AttemptFailed

_NICENESS: Final = -10

_START_DELAY_NS: Final = 20_000_000
"""Between the announcement and the first due time: the announcement's reader shares this core."""

_OPEN_LOOP_AHEAD: Final = 16
"""Connections opened ahead for an open loop, whose need nobody knows; more are opened as they are needed."""

_SPIN_SHARE: Final = 5
"""Spin only where gaps between requests are at least this many times the spin: at most a fifth of the core burns."""

_ROWS_PER_SLOT_S: Final = 1_000
_MOST_ROWS_AHEAD: Final = 500_000
"""Rows set aside for a closed loop: so many for each slot and second, up to a bound; the table grows if it must."""


def main(job_path: str) -> None:
    """Runs one job file to its end."""
    job = Path(job_path)
    request: LoadRequest = pickle.loads(job.read_bytes())  # noqa: S301 - written by our parent in a 0700 directory
    try:
        outcome, table = send(request)
    except AttemptFailed as error:
        leave(job.parent, SendFailure(error.cause, error.detail))
        return
    from shared.measure.samples_file import write_samples  # noqa: PLC0415 - pyarrow is slow to import, and not needed earlier

    write_samples(table.columns(), request.samples_path)
    leave(job.parent, outcome)


def send(request: LoadRequest) -> tuple[LoadOutcome, SampleTable]:
    """Sends the whole plan from this process.

    Raises:
        PipelineFailed: the ops cannot be built.
        OSError: the target's name cannot be resolved.
    """
    _go_first()
    work = work_of(request)
    with Waiter(spin_ns=spin_ns(request)) as waiter:
        pool = Pool(request.target, waiter, keep_body=work.takes_time)
        pool.open_ahead(request.plan.concurrency or min(_OPEN_LOOP_AHEAD, len(request.plan.due_ns)))
        try:
            return _run(request, work, pool, waiter)
        finally:
            pool.close()


def _go_first() -> None:
    """Before whatever else runs on the client's cores, where we may: the agent, and a leader on the same host."""
    with contextlib.suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, 0, _NICENESS)


def _run(request: LoadRequest, work: Work, pool: Pool, waiter: Waiter) -> tuple[LoadOutcome, SampleTable]:
    table = SampleTable(_expected_rows(request))
    gc.collect()
    gc.freeze()
    gc.disable()
    origin_ns = time.monotonic_ns() + _START_DELAY_NS
    loop = LoadLoop(
        plan=request.plan,
        origin_ns=origin_ns,
        request_timeout_ns=request.request_timeout_ns,
        pacing=pacing_of(request.plan, origin_ns),
        work=work,
        pool=pool,
        waiter=waiter,
        table=table,
    )
    _announce(origin_ns)
    end_ns = loop.run()
    gc.enable()
    outcome = LoadOutcome(
        origin_ns=origin_ns,
        end_ns=end_ns,
        max_in_flight=loop.in_flight.peak,
        mean_in_flight=loop.in_flight.mean(),
        answers=work.answers,
        pids=(os.getpid(),),
    )
    return outcome, table


def spin_ns(request: LoadRequest) -> int:
    """How long before a due time to stop sleeping: not at all without a core to burn, or where gaps are short."""
    plan = request.plan
    mean_gap_ns = plan.end_ns / len(plan.due_ns) if len(plan.due_ns) else 0
    return SPIN_NS if request.own_core and mean_gap_ns >= _SPIN_SHARE * SPIN_NS else 0


def _expected_rows(request: LoadRequest) -> int:
    plan = request.plan
    if plan.concurrency is None:
        return len(plan.due_ns)
    return min(_MOST_ROWS_AHEAD, plan.concurrency * _ROWS_PER_SLOT_S * plan.end_ns // 1_000_000_000)


def _announce(origin_ns: int) -> None:
    sys.stdout.write(json.dumps({"origin_ns": origin_ns}) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1])
