"""Runs the sender processes on a workload, checks what must hold of every run, and hands back what they left."""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import psutil
from pydantic import TypeAdapter
from support.descendants import children_running

from follower.load.dialects import DIALECTS
from follower.load.encode import InputTensor
from follower.load.process_sender import ProcessSender
from follower.load.protocol import LiveRows, LoadOutcome, LoadRequest, Target
from shared.jobs.feeding import Feed
from shared.jobs.pipeline import PipelineSpec
from shared.jobs.workload import WorkloadSpec
from shared.measure.analyze import Measurement, analyze
from shared.measure.columns import COLUMNS, ERROR_KINDS, NOT_AVAILABLE, Columns
from shared.measure.manifest import Circumstances
from shared.measure.windows import Window, succeeded, window_of
from shared.testing.golden_server import GoldenServer
from shared.workload.arrivals import make_plan
from shared.workload.plan import Plan
from shared.workload.slices import slice_of

_SPEC: TypeAdapter[WorkloadSpec] = TypeAdapter(WorkloadSpec)
_NO_OPS = PipelineSpec()
NOWHERE = Target(host="127.0.0.1", port=1, path="/")  # refuses every connection
_TENSOR = InputTensor(name="x", datatype="FP32", array=np.zeros((1, 64), dtype=np.float32))
PATHS = {"http": "/v2/models/golden/infer", "grpc": "/inference.GRPCInferenceService/ModelInfer"}


@dataclass(frozen=True)
class Ran:
    """What a run left."""

    plan: Plan
    outcome: LoadOutcome
    live: Columns  # every row that the live view handed out while the senders ran, in its order

    @property
    def columns(self) -> Columns:
        return self.outcome.columns

    @property
    def window(self) -> Window:
        return window_of(self.plan, self.outcome.origin_ns)

    def errors(self) -> dict[str, int]:
        """Kind -> count over all rows, warm-up included."""
        return errors_of(self.columns)

    def measure(self) -> Measurement:
        circumstances = Circumstances(
            origin_ns=self.outcome.origin_ns,
            max_in_flight=self.outcome.max_in_flight,
            mean_in_flight=self.outcome.mean_in_flight,
            workers=self.outcome.workers,
        )
        return analyze(self.columns, self.plan, circumstances)


@dataclass(frozen=True)
class Rig:
    """Runs workloads and leaves nothing behind."""

    folder: Path

    def request(
        self,
        target: Target,
        workload: Mapping[str, object],
        *,
        payloads: int = 3,
        raw: Sequence[Sequence[bytes]] = (),
        pipeline: PipelineSpec = _NO_OPS,
        labels: Sequence[str] = (),
        workers: int = 1,
        kernel_timestamps: bool = False,
    ) -> LoadRequest:
        """What the senders need for this workload; with ``raw`` they do the pipeline's work."""
        spec = _SPEC.validate_python({"warmup": "200ms", "request_timeout": "2s", **workload})
        ready = () if raw else [DIALECTS[target.dialect].encode(target, [_TENSOR])] * payloads
        return LoadRequest(
            plan=make_plan(spec, len(raw) or payloads),
            target=target,
            encoded=ready,
            raw=raw,
            pipeline=pipeline,
            feeds=(Feed("x", "UINT8" if raw else "FP32", "sample"),),
            output_name="scores",
            labels=labels,
            request_timeout_ns=spec.request_timeout,
            client_cores=client_cores(workers),
            folder=self.folder,
            kernel_timestamps=kernel_timestamps,
        )

    def run(
        self,
        request: LoadRequest,
        *,
        on_start: Callable[[], None] = lambda: None,
        keep_going: Callable[[], None] = lambda: None,
    ) -> Ran:
        """Runs the request in sender processes; what holds of every run is checked."""
        watched: list[LiveRows] = []
        seen: list[Columns] = []

        def start(_origin_ns: int, _pids: Sequence[int], live: LiveRows) -> None:
            watched.append(live)
            on_start()

        def look() -> None:
            seen.extend(live.take() for live in watched)
            keep_going()

        outcome = ProcessSender().run(request, on_start=start, keep_going=look)
        assert list(self.folder.iterdir()) == []
        check_every_row(request.plan, outcome)
        live = {name: np.concatenate([part[name] for part in seen] or [outcome.columns[name][:0]]) for name in COLUMNS}
        return Ran(request.plan, outcome, live)

    def load(self, server: GoldenServer, **workload: object) -> Ran:
        """Runs prepared requests against the server."""
        return self.run(self.request(target_of(server), workload))


def client_cores(workers: int) -> list[int]:
    """So many cores of this machine for the senders, the first ones again where there are not as many."""
    cores = sorted(os.sched_getaffinity(0))
    return [cores[worker % len(cores)] for worker in range(workers)]


def target_of(server: GoldenServer) -> Target:
    """Where the golden server takes requests."""
    return Target(
        host=server.host,
        port=server.port,
        path=PATHS[server.protocol],
        dialect="openinference-grpc" if server.protocol == "grpc" else "openinference-http",
        model_name="golden" if server.protocol == "grpc" else "",
    )


def errors_of(columns: Columns) -> dict[str, int]:
    """Kind -> count."""
    counts = np.bincount(columns["error"], minlength=len(ERROR_KINDS)).tolist()
    return {kind: count for kind, count in zip(ERROR_KINDS, counts, strict=True) if count}


def check_every_row(plan: Plan, outcome: LoadOutcome) -> None:
    """What holds of every run: one row per planned request, stamps in order, each worker's payloads in rotation."""
    columns = outcome.columns
    assert {name: column.dtype.name for name, column in columns.items()} == COLUMNS
    assert (np.diff(columns["due_ns"]) >= 0).all()
    if plan.concurrency is None:
        assert (columns["due_ns"] - outcome.origin_ns).tolist() == plan.due_ns.tolist()
    for worker in range(outcome.workers):
        check_worker(slice_of(plan, worker, outcome.workers), of_worker(columns, worker))
    ok = {name: column[succeeded(columns)] for name, column in columns.items()}
    order = ["start_ns", "send_start_ns", "send_end_ns", "first_byte_ns", "last_byte_ns", "done_ns"]
    for earlier, later in pairwise(order):
        assert (ok[later] >= ok[earlier]).all(), f"{later} before {earlier}"
    wired = ok["wire_ns"] != NOT_AVAILABLE
    assert (ok["wire_ns"] <= ok["last_byte_ns"] - ok["send_start_ns"])[wired].all()


def check_worker(plan: Plan, columns: Columns) -> None:
    """One worker's slice: its payloads in its order, nothing sent before it was due or out of turn."""
    rows = len(columns["due_ns"])
    expected = np.resize(plan.payload, rows) if plan.concurrency else plan.payload
    assert columns["payload"].tolist() == expected.tolist()
    taken = columns["start_ns"] != NOT_AVAILABLE
    assert (columns["error"] == ERROR_KINDS.index("not-sent")).tolist() == (~taken).tolist()
    assert (np.diff(columns["start_ns"][taken]) >= 0).all()
    assert (columns["start_ns"] >= columns["due_ns"])[taken].all()


def of_worker(columns: Columns, worker: int) -> Columns:
    """The rows of one worker."""
    return {name: column[columns["worker"] == worker] for name, column in columns.items()}


def senders_of(parent: psutil.Process) -> list[psutil.Process]:
    """The sender processes that it started and that run, not only prepare to."""
    return children_running(parent, "follower.load.sender")


def sender_of(parent: psutil.Process) -> psutil.Process:
    """Its first sender, as soon as it runs."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        for sender in senders_of(parent):
            return sender
        time.sleep(0.02)
    raise AssertionError("no sender was started")


def with_cap(request: LoadRequest, most_in_flight: int) -> LoadRequest:
    """The request under a declared cap."""
    return replace(request, plan=replace(request.plan, max_in_flight=most_in_flight))
