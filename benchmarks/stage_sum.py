"""Do the stages of a request add up to its latency, on every platform and protocol that this machine has?"""

import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from support.assignments import assignment, run_spec
from support.attempt_process import attempt_process

from benchmarks.figure import Figure
from follower.serve.platforms import PLATFORMS
from shared.measure.record import Record

LOW: Final = 0.98
HIGH: Final = 1.02
REST: Final = "unattributed"
WORKLOAD: Final = {"pattern": "closed", "concurrency": 2, "warmup": "500ms", "duration": "3s"}
STARTED_BY_OTHERS: Final = "endpoint"
LAUNCH: Final = "process"


def stage_sum() -> Iterable[Figure]:
    """Mean of the stages that have a name over the mean response latency, of a whole attempt each; the rest is told.

    A generated dense network, two requests at a time. Platform endpoint is left out: what it loads is one of these.
    Bias: transmission is what the server does not report of itself, so it takes up what a server forgets.
    """
    for platform in PLATFORMS.values():
        if platform.name == STARTED_BY_OTHERS:
            continue
        offer = platform.offer()
        if offer is None or LAUNCH not in offer.launch:
            name = f"{platform.name}: stages / latency"
            yield Figure(
                name=name, measured=None, unit="", low=LOW, high=HIGH, detail="no process of it can be started here"
            )
        else:
            for protocol in offer.protocol:
                yield summed(f"{platform.name}, {protocol}: stages / latency", _record(platform.name, protocol))


def summed(name: str, record: Record) -> Figure:
    """The figure of one record; each stage's mean is told, in the order in which a request meets them."""
    latency_ms = record.response_latency.mean_ms or 0.0
    means_ms = {stage: summary.mean_ms for stage, summary in record.stages.items()}
    told_ms = sum(mean or 0.0 for stage, mean in means_ms.items() if stage != REST)
    parts = ", ".join(f"{stage} {'n/a' if mean is None else f'{mean:.3f}'}" for stage, mean in means_ms.items())
    detail = f"ms: {parts}; latency {latency_ms:.3f}"
    measured = told_ms / latency_ms if latency_ms else float("nan")
    return Figure(name=name, measured=measured, unit="", low=LOW, high=HIGH, detail=detail)


def _record(platform: str, protocol: str) -> Record:
    spec = run_spec(workload=WORKLOAD, service={"platform": platform, "protocol": protocol})
    with tempfile.TemporaryDirectory() as folder, attempt_process(Path(folder), assignment(spec=spec)) as attempt:
        return attempt.succeed().record
