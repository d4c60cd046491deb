"""One sender process: ``python -m follower.load.sender JOBFILE``, started by ``follower.load.process_sender``.

It reads one pickled ``SenderJob``, prepares everything, says ``ready`` on its standard output, and reads from its
standard input when the plan's zero falls. Then it runs its slice of the plan; only after that it writes a file.
"""

import contextlib
import gc
import os
import pickle
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from follower.load.kernel_stamps import open_stamping
from follower.load.loop import LoadLoop
from follower.load.numbering import Numbering
from follower.load.outcome import SendFailure, WorkerOutcome, leave
from follower.load.pacing import pacing_of
from follower.load.pool import Connect, Pool
from follower.load.protocol import LoadRequest
from follower.load.rows import RowWriter
from follower.load.samples import SampleTable
from follower.load.spin import Spin, check_core, decide_spin
from follower.load.tls_connection import NO_WIRE_LATENCY, TlsConnector, connect_of
from follower.load.waiter import Waiter
from follower.load.work import Work, work_of
from shared.errors import AttemptFailed
from shared.workload.plan import Plan

READY: Final = "ready\n"

_NICENESS: Final = -10

_OPEN_LOOP_AHEAD: Final = 16
"""Connections opened ahead for an open loop, whose need nobody knows; more are opened as they are needed."""

_ROWS_PER_S: Final = 25_000
_MOST_ROWS_AHEAD: Final = 500_000
"""Rows of a closed loop set aside ahead: as many as one Python process can fill, up to 96 MB; the table grows."""


@dataclass(frozen=True, kw_only=True)
class SenderJob:
    """What one sender process gets; picklable."""

    request: LoadRequest  # its plan is this worker's slice
    worker: int
    workers: int = 1
    table_file: int  # descriptor of the table, inherited


def main(job_path: str) -> None:
    """Runs one job file to its end."""
    path = Path(job_path)
    job: SenderJob = pickle.loads(path.read_bytes())  # noqa: S301 - written by our parent in a 0700 directory
    path.unlink()  # its requests may carry a secret
    try:
        outcome = send(job)
    except AttemptFailed as error:
        leave(path.parent, SendFailure(error.cause, error.detail))
        return
    leave(path.parent, outcome)


def send(job: SenderJob) -> WorkerOutcome:
    """Prepares, meets the others at the barrier, and sends the slice.

    Raises:
        PipelineFailed: the ops cannot be built.
        OSError: the target's name cannot be resolved.
    """
    _go_first()
    request = job.request
    work = work_of(request)
    table = SampleTable(job.table_file, expected_rows(request.plan))
    rows = RowWriter(table, job.worker, server_pipeline=request.server_pipeline)
    is_plain = request.target.tls is None
    with Waiter() as waiter, open_stamping(wanted=request.kernel_timestamps and is_plain) as stamping:
        spin = choose_spin(request, waiter)
        waiter.spin_ns = spin.before_ns
        connect = connect_of(request.target, stamping)
        pool = Pool(request.target, waiter, keep_body=work.takes_time, connect=connect)
        pool.open_ahead(request.plan.concurrency or min(_OPEN_LOOP_AHEAD, len(request.plan.due_ns)))
        try:
            loop, end_ns = _run(job, work, pool, waiter, rows)
        finally:
            pool.close()
    return WorkerOutcome(
        end_ns=end_ns,
        mean_in_flight=loop.in_flight.mean(),
        answers=work.answers,
        notes=tuple(note for note in (spin.reason, stamping.note, *_of_tls(connect, request)) if note),
    )


def _of_tls(connect: Connect, request: LoadRequest) -> tuple[str, ...]:
    """What encryption cost, and what it takes away."""
    if not isinstance(connect, TlsConnector):
        return ()
    return (connect.note, *((NO_WIRE_LATENCY,) if request.kernel_timestamps else ()))


def _go_first() -> None:
    """Before whatever else runs on the client's cores, where we may: the agent, and a leader on the same host."""
    with contextlib.suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, 0, _NICENESS)


def _run(job: SenderJob, work: Work, pool: Pool, waiter: Waiter, rows: RowWriter) -> tuple[LoadLoop, int]:
    request = job.request
    loop = LoadLoop(
        plan=request.plan,
        request_timeout_ns=request.request_timeout_ns,
        pacing=pacing_of(request.plan),
        work=work,
        pool=pool,
        waiter=waiter,
        rows=rows,
        numbering=_numbering(job, work),
    )
    gc.collect()
    gc.freeze()
    gc.disable()
    end_ns = loop.run(_meet())
    gc.enable()
    return loop, end_ns


def _numbering(job: SenderJob, work: Work) -> Numbering | None:
    target = job.request.target
    if not target.numbered:
        return None
    return Numbering(target, worker=job.worker, workers=job.workers, same_bytes=not work.takes_time)


def _meet() -> int:
    """The barrier: says that this worker is ready, and waits for the origin that all of them get."""
    sys.stdout.write(READY)
    sys.stdout.flush()
    line = sys.stdin.readline()
    if not line:
        raise EOFError("the parent went away before the start")
    return int(line)


def choose_spin(request: LoadRequest, waiter: Waiter) -> Spin:
    """How to wait on this core; looks at the core only where polling is possible at all."""
    if not len(request.plan.due_ns):
        return Spin(0, "")
    if not request.own_core:
        return Spin(0, "waiting does not poll: the client's core is not its own")
    return decide_spin(request.plan, check_core(waiter))


def expected_rows(plan: Plan) -> int:
    """Rows to set aside ahead."""
    if plan.concurrency is None:
        return len(plan.due_ns)
    return min(_MOST_ROWS_AHEAD, _ROWS_PER_S * plan.end_ns // 1_000_000_000)


if __name__ == "__main__":
    main(sys.argv[1])
