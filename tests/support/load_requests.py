"""Load requests of one or more prepared payloads, for tests to vary."""

from pathlib import Path
from typing import Any

from support.workloads import workload

from follower.load.protocol import LoadRequest, Target
from shared.jobs.feeding import Feed
from shared.jobs.pipeline import PipelineSpec
from shared.jobs.workload import WorkloadSpec
from shared.workload.arrivals import make_plan

NOWHERE = Target(host="127.0.0.1", port=1, path="/")


def load_request(folder: Path, spec: WorkloadSpec | None = None, **fields: Any) -> LoadRequest:
    """A closed loop over two connections with three prepared payloads, unless told otherwise."""
    plan = make_plan(spec or workload(pattern="closed", concurrency=2), 3)
    everything: dict[str, Any] = {
        "plan": plan,
        "target": NOWHERE,
        "encoded": (b"a" * 900, b"b" * 901, b"c" * 902),
        "pipeline": PipelineSpec(),
        "feeds": (Feed("x", "FP32", "sample"),),
        "output_name": "y",
        "request_timeout_ns": 5_000_000_000,
        "client_cores": (0,),
        "folder": folder,
    }
    return LoadRequest(**{**everything, **fields})
