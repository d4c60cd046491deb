"""Our own load generator, run as the follower runs it: the real sender process on the client's core."""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from pydantic import TypeAdapter

from benchmarks.cores import CLIENT, HAS_TWO
from follower.load.dialects import DIALECTS
from follower.load.encode import InputTensor
from follower.load.process_sender import ProcessSender
from follower.load.protocol import LoadOutcome, LoadRequest, Target
from shared.jobs.feeding import Feed
from shared.jobs.pipeline import PipelineSpec
from shared.jobs.workload import WorkloadSpec
from shared.measure.analyze import Measurement, analyze
from shared.measure.columns import Columns
from shared.measure.manifest import Circumstances
from shared.measure.windows import succeeded, window_of
from shared.workload.arrivals import make_plan
from shared.workload.plan import Plan

TENSOR: Final = InputTensor(name="x", datatype="FP32", array=np.zeros((1, 64), dtype=np.float32))
_WORKLOAD: Final[TypeAdapter[WorkloadSpec]] = TypeAdapter(WorkloadSpec)


@dataclass(frozen=True)
class Ran:
    """A run's plan and what the sender left."""

    plan: Plan
    outcome: LoadOutcome

    def measure(self) -> Measurement:
        """As the follower analyses it, with nothing known of the processes."""
        circumstances = Circumstances(
            origin_ns=self.outcome.origin_ns,
            max_in_flight=self.outcome.max_in_flight,
            mean_in_flight=self.outcome.mean_in_flight,
            workers=self.outcome.workers,
        )
        return analyze(self.outcome.columns, self.plan, circumstances)

    def window(self) -> Columns:
        """The columns of the requests that were due inside the window."""
        columns = self.outcome.columns
        inside = window_of(self.plan, self.outcome.origin_ns).holds(columns["due_ns"])
        return {name: column[inside] for name, column in columns.items()}

    def between(self, earlier: str, later: str) -> npt.NDArray[Any]:
        """``later`` - ``earlier`` of the successful requests of the window, in us: shape (n,)."""
        columns = self.window()
        ok = succeeded(columns)
        return np.asarray((columns[later][ok] - columns[earlier][ok]) / 1000)

    def service_p50_us(self) -> float:
        """From the send to the last byte: what the other tools call latency."""
        return float(np.median(self.between("send_start_ns", "last_byte_ns")))

    def completed_rps(self) -> float:
        """Right answers inside the window, per second.

        Raises:
            RuntimeError: a request failed.
        """
        columns, window = self.outcome.columns, window_of(self.plan, self.outcome.origin_ns)
        ok = succeeded(columns)
        if not ok.all():
            raise RuntimeError(f"{np.count_nonzero(~ok)} requests failed")
        return float(np.count_nonzero(window.holds(columns["done_ns"])) / window.duration_s)


def load(
    target: Target,
    workload: Mapping[str, object],
    *,
    tensor: InputTensor = TENSOR,
    own_core: bool = HAS_TWO,
    core: int = CLIENT,
) -> Ran:
    """Runs one workload of ready requests from one core."""
    spec = _WORKLOAD.validate_python({"warmup": "500ms", "request_timeout": "10s", **workload})
    plan = make_plan(spec, 1)
    with tempfile.TemporaryDirectory() as folder:
        request = LoadRequest(
            plan=plan,
            target=target,
            encoded=[DIALECTS[target.dialect].encode(target, [tensor])],
            pipeline=PipelineSpec(),
            feeds=(Feed(tensor.name, tensor.datatype, "sample"),),
            output_name="scores",
            request_timeout_ns=spec.request_timeout,
            client_cores=[core],
            own_core=own_core,
            folder=Path(folder),
        )
        return Ran(plan, ProcessSender().run(request, on_start=lambda *_: None, keep_going=lambda: None))
