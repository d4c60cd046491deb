"""Runs the sender process on a workload, checks what must hold of every run, and hands back what it left."""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import psutil
from pydantic import TypeAdapter
from support.golden_server import GoldenServer

from follower.load.encode import InputTensor, encode_infer
from follower.load.process_sender import ProcessSender
from follower.load.protocol import HttpTarget, LoadOutcome, LoadRequest
from shared.measure.samples_file import read_samples
from shared.jobs.pipeline import PipelineSpec
from shared.jobs.workload import WorkloadSpec
from shared.measure.analyze import Circumstances, Measurement, analyze
from shared.measure.columns import COLUMNS, ERROR_KINDS, NOT_AVAILABLE, Columns
from shared.measure.windows import Window, succeeded, window_of
from shared.workload.arrivals import make_plan
from shared.workload.plan import Plan

_SPEC: TypeAdapter[WorkloadSpec] = TypeAdapter(WorkloadSpec)
_NO_OPS = PipelineSpec()
NOWHERE = HttpTarget(host="127.0.0.1", port=1, path="/")  # refuses every connection
_TENSOR = InputTensor(name="x", datatype="FP32", array=np.zeros((1, 64), dtype=np.float32))


@dataclass(frozen=True)
class Ran:
    """What a run left."""

    plan: Plan
    columns: Columns
    outcome: LoadOutcome

    @property
    def window(self) -> Window:
        return window_of(self.plan, self.outcome.origin_ns)

    def errors(self) -> dict[str, int]:
        """Kind -> count over all rows, warm-up included."""
        counts = np.bincount(self.columns["error"], minlength=len(ERROR_KINDS)).tolist()
        return {kind: count for kind, count in zip(ERROR_KINDS, counts, strict=True) if count}

    def measure(self) -> Measurement:
        return analyze(
            self.columns,
            self.plan,
            self.outcome.origin_ns,
            Circumstances(max_in_flight=self.outcome.max_in_flight, mean_in_flight=self.outcome.mean_in_flight),
        )


@dataclass(frozen=True)
class Rig:
    """Runs workloads and leaves nothing behind."""

    folder: Path

    def request(
        self,
        target: HttpTarget,
        workload: Mapping[str, object],
        *,
        payloads: int = 3,
        raw: Sequence[Sequence[bytes]] = (),
        pipeline: PipelineSpec = _NO_OPS,
        labels: Sequence[str] = (),
    ) -> LoadRequest:
        """What a sender needs for this workload; with ``raw`` it does the pipeline's work."""
        spec = _SPEC.validate_python({"warmup": "200ms", "request_timeout": "2s", **workload})
        return LoadRequest(
            plan=make_plan(spec, len(raw) or payloads),
            target=target,
            encoded=() if raw else [encode_infer([_TENSOR])] * payloads,
            raw=raw,
            pipeline=pipeline,
            input_name="x",
            input_datatype="UINT8" if raw else "FP32",
            output_name="scores",
            labels=labels,
            request_timeout_ns=spec.request_timeout,
            client_cores=sorted(os.sched_getaffinity(0)),
            samples_path=self.folder / "samples.parquet",
        )

    def run(
        self,
        request: LoadRequest,
        *,
        on_start: Callable[[], None] = lambda: None,
        keep_going: Callable[[], None] = lambda: None,
    ) -> Ran:
        """Runs the request in a sender process; what holds of every run is checked."""
        outcome = ProcessSender().run(request, on_start=lambda _origin, _pids: on_start(), keep_going=keep_going)
        columns = read_samples(request.samples_path)
        assert list(self.folder.iterdir()) == [request.samples_path]
        check_every_row(request.plan, columns)
        return Ran(request.plan, columns, outcome)

    def load(self, server: GoldenServer, **workload: object) -> Ran:
        """Runs prepared requests against the server."""
        return self.run(self.request(target_of(server), workload))


def target_of(server: GoldenServer) -> HttpTarget:
    """Where the golden server takes requests."""
    return HttpTarget(host=server.host, port=server.port, path="/v2/models/golden/infer")


def check_every_row(plan: Plan, columns: Columns) -> None:
    """What holds of every run: one row per planned request, stamps in order, payloads in rotation."""
    assert {name: column.dtype.name for name, column in columns.items()} == COLUMNS
    rows = len(columns["due_ns"])
    if plan.concurrency is None:
        assert rows == len(plan.due_ns)
        assert (np.diff(columns["due_ns"]) == np.diff(plan.due_ns)).all()
    assert columns["payload"].tolist() == [int(plan.payload[i % len(plan.payload)]) for i in range(rows)]
    taken = columns["start_ns"] != NOT_AVAILABLE
    assert (columns["error"] == ERROR_KINDS.index("not-sent")).tolist() == (~taken).tolist()
    assert (np.diff(columns["start_ns"][taken]) >= 0).all()
    assert (columns["start_ns"] >= columns["due_ns"])[taken].all()
    ok = {name: column[succeeded(columns)] for name, column in columns.items()}
    order = ["start_ns", "send_start_ns", "send_end_ns", "first_byte_ns", "last_byte_ns", "done_ns"]
    for earlier, later in pairwise(order):
        assert (ok[later] >= ok[earlier]).all(), f"{later} before {earlier}"


def senders_of(parent: psutil.Process) -> list[psutil.Process]:
    """The sender processes that it started."""
    return [child for child in parent.children() if "follower.load.sender" in " ".join(child.cmdline())]


def sender_of(parent: psutil.Process) -> psutil.Process:
    """Its one sender, as soon as it runs."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        for sender in senders_of(parent):
            return sender
        time.sleep(0.02)
    raise AssertionError("no sender was started")
