"""The record: what one accepted attempt measured, and everything needed to trust or repeat it.

Times are milliseconds as floats here, because people read them; raw samples keep integer nanoseconds.
``None`` means "not available", with a reason in ``notes``; it never means zero.
"""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Stage = Literal["preprocess", "transmission", "queue", "inference", "postprocess", "unattributed"]
STAGES: tuple[Stage, ...] = (
    "preprocess",
    "transmission",
    "queue",
    "inference",
    "postprocess",
    "unattributed",
)
"""The five stages of a request in the order in which it meets them, and what none of them explains."""


class Part(BaseModel):
    """A part of the record."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class LatencySummary(Part):
    """A latency distribution over ``n`` successful requests. Percentiles are nearest-rank: the ceil(q*n)-th sample."""

    n: int
    mean_ms: float | None
    stddev_ms: float | None
    min_ms: float | None
    p50_ms: float | None
    p90_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    max_ms: float | None


class StageSummary(Part):
    """One stage over the requests whose server reported it."""

    n: int
    mean_ms: float | None
    p50_ms: float | None
    p90_ms: float | None
    p99_ms: float | None
    share: float | None  # of the mean response latency


class ColdStart(Part):
    """From the decision to start until the first answer, cumulative from the spawn, in ms."""

    spawned_ms: float
    port_open_ms: float | None
    model_loaded_ms: float | None
    ready_ms: float | None
    first_inference_ms: float | None


class LoadFidelity(Part):
    """Whether the load that was asked for is the load that was sent."""

    pattern: str
    offered_rps: float | None  # None for closed loop
    sent_rps: float
    completed_rps: float
    planned: int | None  # requests due inside the window; None for closed loop
    sent: int
    completed: int
    pending: int  # sent, never answered before the run ended
    send_lateness_p50_ms: float | None
    send_lateness_p99_ms: float | None
    send_lateness_max_ms: float | None
    max_in_flight: int
    seed: int
    plan_sha256: str


class Resources(Part):
    """A process group's use of the machine inside the window."""

    cpu_mean_pct: float | None  # 100 = one core busy
    cpu_max_pct: float | None
    rss_max_bytes: int | None
    samples: int


class Answer(Part):
    """What the model said to one sample, beside what is true."""

    sample: str
    answer: str
    label: str | None
    confidence: float | None = None


class Quality(Part):
    """Answers checked against labels, over every distinct sample once."""

    metric: str  # "exact-match", "top-1"
    value: float | None
    n: int
    answers: tuple[Answer, ...]


class Validity(Part):
    """Whether the measurement may be believed. ``marked``: ranked, but with its reasons shown."""

    verdict: Literal["valid", "marked", "invalid"]
    reasons: tuple[str, ...] = ()


class SloCheck(Part):
    """One limit of the job against what was measured."""

    limit: str  # "p99_ms"
    allowed: float
    measured: float | None
    met: bool


class Record(Part):
    """The result of one attempt."""

    schema_version: Literal[1] = 1
    run_id: str
    job_id: str
    attempt: int
    follower: str
    slot: str
    started_at: datetime
    finished_at: datetime
    spec: dict[str, Any]  # the effective RunSpec
    comparability_key: str  # equal for records that may be ranked together
    configuration_key: str  # equal for repeats of one configuration on one kind of host
    environment: dict[str, Any]  # inventory, pinning, versions, settings in force
    model_card: dict[str, Any]
    cold_start: ColdStart
    load: LoadFidelity
    response_latency: LatencySummary  # from the due time until the answer is ready for use
    service_latency: LatencySummary  # from the first byte sent until the last byte received
    stages: dict[Stage, StageSummary]
    throughput_rps: float
    throughput_samples_per_s: float
    errors: dict[str, int]
    error_rate: float
    server: Resources
    client: Resources
    batch_size_mean: float | None  # as executed by the server
    quality: Quality | None
    slo: tuple[SloCheck, ...]
    validity: Validity
    metrics: dict[str, float | None] = Field(default_factory=dict)  # shared.measure.metrics, for ranking
    notes: tuple[str, ...] = ()
    samples_sha256: str | None = None

    @property
    def slo_met(self) -> bool | None:
        """None where the job names no limit."""
        return all(check.met for check in self.slo) if self.slo else None
