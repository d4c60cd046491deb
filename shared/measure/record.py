"""The record: what one accepted attempt measured, and everything needed to trust or repeat it.

Times are milliseconds as floats here, because people read them; raw samples keep integer nanoseconds.
``None`` means "not available", with a reason in ``notes``; it never means zero.
"""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from shared.measure.link import LinkReading
from shared.measure.manifest import Calibration
from shared.measure.server_work import ServerWork

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


class Percentile(Part):
    """One percentile: the nearest-rank sample where the sample is large enough to certify it, and its 95 % interval.

    ``ms`` is None where it is not certified (``reason`` says what is missing) or falls on a failure. The interval is
    by order statistics on the effective sample size; None leaves that side open.
    """

    ms: float | None
    low_ms: float | None
    high_ms: float | None
    certified: bool
    n_effective: float | None = None  # independent samples worth as much at this percentile; at most the summary's
    reason: str | None = None


PERCENTILES: dict[str, float] = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99, "p99.9": 0.999}
"""The percentiles of every latency summary."""


class LatencySummary(Part):
    """A latency distribution over ``n`` successful requests. Percentiles are nearest-rank: the ceil(q*n)-th sample."""

    n: int
    n_effective: float | None  # independent samples worth as much; less than n where neighbours resemble each other
    mean_ms: float | None
    stddev_ms: float | None
    min_ms: float | None
    max_ms: float | None
    percentiles: dict[str, Percentile]
    with_failures: dict[str, Percentile] | None = None  # the same, failures counting as requests that took for ever

    def ms(self, name: str) -> float | None:
        """A certified percentile; None where there is none."""
        return self.percentiles[name].ms


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


class ColdStartRepeat(Part):
    """One start of a cold-start run."""

    phases: ColdStart
    inferences: int  # answered after the first answer, one at a time
    steady_ms: float | None  # median service latency of the second half of them
    steady_after: int | None  # how many of them came before latency was within 10 % of ``steady_ms``
    cached_share: float | None  # of the model's pages, in the page cache just before the start
    stopped_ms: float  # what stopping took, until nothing was left


class Spread(Part):
    """Few values: the least, the nearest-rank median and the greatest of ``n``; None where there is none."""

    n: int
    min: float | None
    median: float | None
    max: float | None


class PhaseSummary(Part):
    """One phase over the repeats that reached it, in ms; ``p50`` is the same median where it is certified."""

    spread_ms: Spread
    p50: Percentile


class ColdStarts(Part):
    """Every repeat of a cold-start run."""

    cache: Literal["warm", "cold"]  # as asked for; each repeat says what was so
    repeats: tuple[ColdStartRepeat, ...]
    phases: dict[str, PhaseSummary]  # by the names of ``ColdStart``
    steady_after: Spread  # inferences


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
    """A process group's use of the machine inside the window. None: not available; the record's notes say why."""

    cpu_mean_pct: float | None  # 100 = one core busy
    cpu_max_pct: float | None
    rss_max_bytes: int | None
    threads_max: int | None = None
    context_switches_per_s: float | None = None
    read_bytes: int | None = None
    written_bytes: int | None = None
    samples: int


class DeviceUse(Part):
    """An accelerator's use inside the window."""

    index: int
    busy_mean_pct: float | None
    memory_max_bytes: int | None
    power_mean_w: float | None
    energy_j: float | None  # None where the counter is too coarse for the window
    samples: int


class HostUse(Part):
    """What others took of the slot's cores inside the window, as a share of their time. None: not available."""

    foreign_share: float | None
    steal_share: float | None
    throttled_share: float | None
    collector_share: float | None  # what measuring itself took


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


VerdictKind = Literal["stable", "drifting", "overloaded", "client-limited", "invalid"]


class Verdict(Part):
    """Whether the measurement may be believed; said before any figure.

    Only ``invalid`` is never ranked. Every other kind is, with its reasons shown; a stable run may have some, too.
    """

    kind: VerdictKind
    reasons: tuple[str, ...] = ()  # most telling first
    capacity_rps: float | None = None  # of an overloaded server: what it completed per second
    windows_spread: float | None = None  # largest relative difference of three equal parts, in rate or latency
    latency_slope_p: float | None = None  # p-values of no trend over the window
    in_flight_slope_p: float | None = None
    lag1: float | None = None  # autocorrelation of neighbouring latencies


class SloCheck(Part):
    """One limit of the job against what was measured. ``met`` is None where the sample is too small to tell."""

    limit: str  # "p99_ms"
    allowed: float
    measured: float | None
    met: bool | None
    reason: str | None = None


class Goodput(Part):
    """Requests that kept every limit of ``slo.request``, over all that were offered."""

    good: int
    offered: int
    rps: float
    share: float


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
    cold_start: ColdStart  # of a cold-start run, the repeat with the median first answer
    cold_starts: ColdStarts | None = None  # of a cold-start run, and of no other
    load: LoadFidelity | None  # None where there was none: a cold start
    response_latency: LatencySummary  # from the due time until the answer is ready for use
    service_latency: LatencySummary  # from the first byte sent until the last byte received
    wire_latency: LatencySummary | None  # between the kernel's stamps; None where they were not taken
    warmup_s: float  # what was really left out at the start: at least what was asked for
    stages: dict[Stage, StageSummary]
    throughput_rps: float | None  # None without a load
    throughput_samples_per_s: float | None
    errors: dict[str, int]
    error_rate: float | None
    server: Resources
    client: Resources
    host: HostUse
    devices: tuple[DeviceUse, ...] = ()
    calibration: Calibration | None
    link: LinkReading | None = None  # the emulated network link: asked and measured; None for `network: none`
    batch_size_mean: float | None  # as executed by the server: told by its answers, or else by its counters
    server_work: ServerWork | None = None  # what it counted inside the window; None where it counts nothing
    quality: Quality | None
    slo: tuple[SloCheck, ...]
    goodput: Goodput | None  # None where the job sets no limit on a request
    verdict: Verdict
    metrics: dict[str, float | None] = Field(default_factory=dict)  # shared.measure.metrics, for ranking
    notes: tuple[str, ...] = ()
    samples_sha256: str | None = None

    @property
    def slo_met(self) -> bool | None:
        """False if any limit is missed; None where the job names none, or one cannot be told."""
        answers = {check.met for check in self.slo}
        return False if False in answers else None if None in answers or not answers else True
