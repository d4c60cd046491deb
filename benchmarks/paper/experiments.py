"""The paper's software and pipeline experiments: a job file, what to show of its runs, and what the paper states."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.paper import findings
from benchmarks.paper.measured import (
    Figure,
    Finding,
    Measured,
    batch_size_mean,
    first_inference_ms,
    response_p50_ms,
    response_p95_ms,
    response_p99_ms,
    server_cpu_pct,
    server_rss_mib,
    stage_mean_ms,
    throughput_rps,
)

JOBS: Final = Path(__file__).parents[2] / "examples" / "paper"

_LATENCY: Final[Mapping[str, Figure]] = {
    "p50 ms": response_p50_ms,
    "p95 ms": response_p95_ms,
    "p99 ms": response_p99_ms,
}
_STAGES: Final[Mapping[str, Figure]] = {
    "p50 ms": response_p50_ms,
    **{
        f"{stage} ms": stage_mean_ms(stage)
        for stage in ("preprocess", "transmission", "queue", "inference", "postprocess", "unattributed")
    },
}


@dataclass(frozen=True)
class Experiment:
    """``name`` is the job file's in ``JOBS``; ``figure`` the paper's; ``columns`` what a table shows of a run."""

    name: str
    figure: str
    statement: str
    columns: Mapping[str, Figure]
    judge: Callable[[Sequence[Measured]], Finding]

    @property
    def job_file(self) -> Path:
        return JOBS / f"{self.name}.yaml"


EXPERIMENTS: Final = (
    Experiment(
        "tail-latency-by-batch-size", "11(a)", "A larger batch has a longer tail.", _LATENCY, findings.grows_with_batch
    ),
    Experiment(
        "tail-latency-by-arrival-rate",
        "11(b), 11(c)",
        "TensorFlow Serving cannot adequately handle a spike of load.",
        _LATENCY,
        findings.grows_with_rate,
    ),
    Experiment(
        "tail-latency-by-platform",
        "11(d)",
        "Triton has the shortest tail; ONNX Runtime with a simple web framework is better than TensorFlow Serving.",
        _LATENCY,
        findings.triton_leads,
    ),
    Experiment(
        "dynamic-batching-by-concurrency",
        "12",
        "Triton's throughput gains steadily by dynamic batching; TensorFlow Serving's is worse at low concurrency.",
        {"requests/s": throughput_rps, "batch executed": batch_size_mean, **_LATENCY},
        findings.batching_pays,
    ),
    Experiment(
        "resource-usage-by-platform",
        "13",
        "Use follows the load, and the device is under-used at a low arrival rate.",
        {"server CPU %": server_cpu_pct, "server RSS MiB": server_rss_mib, "p50 ms": response_p50_ms},
        findings.under_used_at_low_rate,
    ),
    Experiment(
        "stages-by-batch-size",
        "14(a)",
        "Transmission is comparable to inference for small batches; inference takes over as they grow.",
        _STAGES,
        findings.inference_takes_over,
    ),
    Experiment(
        "stages-by-network", "14(b)", "LTE has the longest end-to-end latency.", _STAGES, findings.lte_is_longest
    ),
    Experiment(
        "cold-start-by-platform",
        "14(c)",
        "Triton starts later than TensorFlow Serving, and needs more than 10 s even for a small model.",
        {"first answer ms": first_inference_ms},
        findings.triton_starts_slowly,
    ),
)
