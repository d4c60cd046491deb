"""Runs a plan with one sender process per client core: slices, barrier, common origin, one set of columns."""

import os
import select
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from follower.load.live import LiveTables
from follower.load.merge import merge_numbers, merge_rows
from follower.load.outcome import WorkerOutcome, merge_answers
from follower.load.protocol import LiveRows, LoadOutcome, LoadRequest, SenderFailed
from follower.load.sender_process import SenderProcess
from shared.errors import AttemptFailed
from shared.jobs.lifecycle import Cause
from shared.measure.little import most_in_flight
from shared.workload.slices import busy_workers, slice_of

START_DELAY_NS: Final = 50_000_000
"""Between the last ``ready`` and the plan's zero: time to tell every sender and whoever watches the run."""

_LOOK_S: Final = 0.2  # between two calls of keep_going
_READY_TIMEOUT_S: Final = 60.0
_END_TIMEOUT_S: Final = 60.0  # after the last time limit: answers of a pipeline are still to be written


class ProcessSender:
    """Senders as processes of their own, one on each client core. They die with the thread that calls ``run``."""

    def run(
        self,
        request: LoadRequest,
        *,
        on_start: Callable[[int, Sequence[int], LiveRows], None],
        keep_going: Callable[[], None],
    ) -> LoadOutcome:
        """Runs the plan to its end.

        Raises:
            AttemptFailed: PIPELINE_FAILED where the ops cannot be built; FOLLOWER_ERROR where a sender was not ready in
                time, or broke: from the start on ``SenderFailed``, which holds the rows that were written.
        """
        with (
            tempfile.TemporaryDirectory(prefix="sender-", dir=request.folder) as private,
            _Crew(request, Path(private), keep_going) as crew,
        ):
            crew.await_ready()
            origin_ns = crew.begin()
            on_start(origin_ns, crew.pids, LiveTables([(p.written, p.plan) for p in crew.processes], origin_ns))
            return crew.await_end(origin_ns)


class _Crew:
    """All sender processes, for as long as they are needed: leaving the context ends them."""

    def __init__(self, request: LoadRequest, folder: Path, keep_going: Callable[[], None]) -> None:
        self._request = request
        self._keep_going = keep_going
        self._folder = folder
        self.processes: list[SenderProcess] = []

    def __enter__(self) -> Self:
        workers = workers_of(self._request)
        try:
            for worker in range(workers):
                folder = self._folder / str(worker)
                folder.mkdir()
                plan = slice_of(self._request.plan, worker, workers)
                self.processes.append(SenderProcess(self._request, plan, worker, folder, workers=workers))
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    @property
    def pids(self) -> tuple[int, ...]:
        return tuple(process.pid for process in self.processes)

    def await_ready(self) -> None:
        """The barrier: returns once every sender has everything prepared."""
        deadline_s = time.monotonic() + _READY_TIMEOUT_S
        waiting = list(self.processes)
        while waiting:
            process = self._next_to_speak(waiting, deadline_s, "was not ready in time")
            if not os.read(process.output.fileno(), 4096):
                process.outcome()  # raises: nobody ends before the start but by a failure
                raise process.failure("ended before the start")
            waiting.remove(process)

    def begin(self) -> int:
        """Tells every sender the same origin, a little ahead."""
        origin_ns = time.monotonic_ns() + START_DELAY_NS
        for process in self.processes:
            process.begin(origin_ns)
        return origin_ns

    def await_end(self, origin_ns: int) -> LoadOutcome:
        """Waits for every sender to end by itself, and puts their parts together."""
        last_ns = origin_ns + self._request.plan.end_ns + self._request.request_timeout_ns
        running = list(self.processes)
        outcomes: dict[int, WorkerOutcome] = {}
        try:
            while running:
                process = self._next_to_speak(running, last_ns / 1e9 + _END_TIMEOUT_S, "does not come to an end")
                if not os.read(process.output.fileno(), 4096):
                    outcomes[process.worker] = process.outcome()
                    running.remove(process)
        except AttemptFailed as error:
            if error.cause is not Cause.FOLLOWER_ERROR:
                raise
            raise self._broken(error, origin_ns) from error
        return self._merge(origin_ns, [outcomes[process.worker] for process in self.processes])

    def _next_to_speak(self, waiting: Sequence[SenderProcess], deadline_s: float, complaint: str) -> SenderProcess:
        """One whose output can be read or is closed. Calls keep_going meanwhile."""
        outputs = {process.output: process for process in waiting}
        while not (ready := select.select(list(outputs), [], [], _LOOK_S)[0]):
            self._keep_going()
            if time.monotonic() > deadline_s:
                raise waiting[0].failure(complaint)
        return outputs[ready[0]]

    def _merge(self, origin_ns: int, outcomes: Sequence[WorkerOutcome]) -> LoadOutcome:
        rows = [process.written.all() for process in self.processes]
        columns = merge_rows(rows)
        return LoadOutcome(
            origin_ns=origin_ns,
            end_ns=max(outcome.end_ns for outcome in outcomes),
            columns=columns,
            max_in_flight=most_in_flight(columns),
            mean_in_flight=sum(outcome.mean_in_flight for outcome in outcomes),
            answers=merge_answers([outcome.answers for outcome in outcomes]),
            pids=self.pids,
            workers=len(outcomes),
            numbers=merge_numbers(rows, [process.written.numbers() for process in self.processes]),
            notes=[
                f"{process.name}: {note}"
                for process, outcome in zip(self.processes, outcomes, strict=True)
                for note in outcome.notes
            ],
        )

    def _broken(self, error: AttemptFailed, origin_ns: int) -> SenderFailed:
        """A sender is lost: the others end too, and what all of them have written is kept."""
        for process in self.processes:
            process.kill()
        columns = merge_rows([process.written.all() for process in self.processes])
        return SenderFailed(error.cause, error.detail, log_tail=error.log_tail, columns=columns, origin_ns=origin_ns)

    def _end(self) -> None:
        for process in self.processes:
            process.kill()
        for process in self.processes:
            process.close()


def workers_of(request: LoadRequest) -> int:
    """How many senders have something to do: at most one for each client core."""
    workers = busy_workers(request.plan, len(request.client_cores) or 1)
    return workers if request.plan.concurrency else max(1, min(workers, len(request.plan.due_ns)))
