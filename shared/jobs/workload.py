"""The arrival process of a job file: one model per pattern, chosen by ``pattern``."""

import math
from collections.abc import Iterator
from typing import Annotated, Final, Literal, Self

from pydantic import Field, model_validator

from shared.jobs.section import Contradiction, Section, refuse
from shared.jobs.slo import SloSpec
from shared.jobs.units import DurationNs

MAX_PLANNED_REQUESTS: Final = 10_000_000
"""Largest open-loop plan: its due times and samples must fit a follower's memory many times over."""

MAX_PLANNED_BURSTS: Final = 1_000_000
"""Most bursts of a modulated plan: shorter ones than that are no bursts any more."""

MAX_RATE_RPS: Final = 1_000_000
COLD_START: Final = "cold-start"
"""The pattern without an arrival process."""

MAX_COLD_STARTS: Final = 100
"""Most starts of one cold-start run: enough to certify a p95 with one sample beyond it."""

MAX_PROBES: Final = 10
"""Most probes of a search: doubling and halving finds a rate within 5 % of the limit in fewer."""

MLPERF_OFFLINE_SAMPLES: Final = 24_576
"""Least samples of MLPerf's offline scenario (MLCommons inference rules, "Scenarios")."""
MLPERF_MULTI_STREAM_SAMPLES: Final = 8
"""Samples of one query of MLPerf's multi-stream scenario (MLCommons inference rules, "Scenarios")."""

_HOUR_NS: Final = 3_600_000_000_000
_DAY_NS: Final = 24 * _HOUR_NS

Rate = Annotated[float, Field(gt=0, le=MAX_RATE_RPS)]
Arrivals = Literal["poisson", "constant"]
"""How requests arrive around a rate that changes: at random (exponential gaps), or as evenly as it allows."""


class WorkloadSection(Section):
    """What every pattern has."""

    warmup: DurationNs = Field(
        2_000_000_000, ge=0, le=_HOUR_NS, description="Load before the measured window, not counted; at most 1h."
    )
    duration: DurationNs = Field(
        10_000_000_000, gt=0, le=_DAY_NS, description="The measured window; above 0s, at most 24h."
    )
    seed: int = Field(
        1, ge=0, le=2**63 - 1, description="Seed of arrivals and payload order; repeat r of a job uses seed + r."
    )
    request_timeout: DurationNs = Field(
        10_000_000_000, gt=0, le=_HOUR_NS, description="A request is given up after this; above 0s, at most 1h."
    )

    def planned_requests(self) -> float:
        """How many requests the plan is expected to hold; 0 where answers decide (closed loop)."""
        return 0.0

    @property
    def load_ns(self) -> int:
        """How long there is load, by the clock."""
        return self.warmup + self.duration

    @model_validator(mode="after")
    def _keys_fit(self) -> Self:
        refuse(self._contradictions())
        return self

    def _contradictions(self) -> Iterator[Contradiction]:
        planned = self.planned_requests()
        if planned > MAX_PLANNED_REQUESTS:
            most = f"at most {MAX_PLANNED_REQUESTS:,} can be planned"
            yield Contradiction((self._rate_key(),), f"the plan would hold {planned:,.0f} requests; {most}")

    def _rate_key(self) -> str:
        return "rate"

    def _span_s(self) -> float:
        return (self.warmup + self.duration) / 1e9


class ClosedWorkload(WorkloadSection):
    """A fixed number of requests in flight."""

    pattern: Literal["closed"] = Field(description="Closed loop.")
    concurrency: int = Field(1, ge=1, le=4096, description="Requests in flight.")
    think_time: DurationNs = Field(
        0, ge=0, le=_HOUR_NS, description="Pause between an answer and the next request of the same slot; at most 1h."
    )


class OpenWorkload(WorkloadSection):
    """Requests arrive by the clock, whatever the server does."""

    max_in_flight: int | None = Field(
        None, ge=1, le=65_536, description="Declared cap on requests in flight; a request that waits for it is late."
    )


class SteadyWorkload(OpenWorkload):
    """An open loop with one mean rate."""

    rate: Rate = Field(description="Mean requests per second.")

    def planned_requests(self) -> float:
        return self.rate * self._span_s()


class ConstantWorkload(SteadyWorkload):
    """Equal gaps, whatever the server does."""

    pattern: Literal["constant"] = Field(description="Open loop, equal gaps.")


class PoissonWorkload(SteadyWorkload):
    """Exponential gaps, whatever the server does."""

    pattern: Literal["poisson"] = Field(description="Open loop, exponential gaps.")


class GammaWorkload(SteadyWorkload):
    """Gaps from a gamma distribution: burstier than Poisson above a coefficient of variation of 1, smoother below."""

    pattern: Literal["gamma"] = Field(description="Open loop, gamma-distributed gaps.")
    cv: float = Field(ge=0.05, le=20, description="Coefficient of variation of the gaps; 1 is Poisson.")


class MmppWorkload(SteadyWorkload):
    """A two-state Markov-modulated Poisson process: calm and burst take turns, for exponential times."""

    pattern: Literal["mmpp"] = Field(description="Open loop, two-state Markov-modulated Poisson process.")
    burst_ratio: float = Field(gt=1, le=1_000, description="Rate in a burst over the rate between bursts.")
    burst_share: float = Field(gt=0, lt=1, description="Share of the time that is burst.")
    burst_length: DurationNs = Field(gt=0, le=_HOUR_NS, description="Mean length of a burst; above 0s, at most 1h.")

    def _contradictions(self) -> Iterator[Contradiction]:
        yield from super()._contradictions()
        bursts = (self.warmup + self.duration) * self.burst_share / self.burst_length
        if bursts > MAX_PLANNED_BURSTS:
            message = f"gives {bursts:,.0f} bursts; at most {MAX_PLANNED_BURSTS:,} can be planned"
            yield Contradiction(("burst_length",), message)


class RampWorkload(OpenWorkload):
    """The rate changes evenly from the window's start to its end; the warm-up has the first rate."""

    pattern: Literal["ramp"] = Field(description="Open loop, rate changing evenly over the window.")
    from_rate: Rate = Field(description="Requests per second during warm-up and at the window's start.")
    to_rate: Rate = Field(description="Requests per second at the window's end.")
    arrivals: Arrivals = Field("poisson", description="At random around the rate, or as evenly as it allows.")

    def planned_requests(self) -> float:
        return (self.from_rate * self.warmup + (self.from_rate + self.to_rate) / 2 * self.duration) / 1e9

    def _rate_key(self) -> str:
        return "to_rate"


class StepWorkload(OpenWorkload):
    """Equal steps over the window, one rate each; the warm-up has the first rate."""

    pattern: Literal["step"] = Field(description="Open loop, one rate after another in equal steps of the window.")
    rates: list[Rate] = Field(min_length=1, max_length=1_000, description="Requests per second of each step.")
    arrivals: Arrivals = Field("poisson", description="At random around the rate, or as evenly as it allows.")

    def planned_requests(self) -> float:
        return (self.rates[0] * self.warmup + sum(self.rates) / len(self.rates) * self.duration) / 1e9

    def _rate_key(self) -> str:
        return "rates"


class SpikeWorkload(OpenWorkload):
    """One rate, and for a while inside the window another."""

    pattern: Literal["spike"] = Field(description="Open loop, another rate for a part of the window.")
    rate: Rate = Field(description="Requests per second outside the spike.")
    spike_rate: Rate = Field(description="Requests per second inside the spike.")
    spike_at: DurationNs = Field(ge=0, le=_DAY_NS, description="Start of the spike, from the window's start.")
    spike_duration: DurationNs = Field(gt=0, le=_DAY_NS, description="Length of the spike.")
    arrivals: Arrivals = Field("poisson", description="At random around the rate, or as evenly as it allows.")

    def planned_requests(self) -> float:
        return self.rate * self._span_s() + (self.spike_rate - self.rate) * self.spike_duration / 1e9

    def _contradictions(self) -> Iterator[Contradiction]:
        yield from super()._contradictions()
        if self.spike_at + self.spike_duration > self.duration:
            yield Contradiction(("spike_at",), "the spike ends after the window: spike_at + spike_duration > duration")


class SineWorkload(SteadyWorkload):
    """The rate swings around its mean, as by day and night; the phase starts at the window's start.

    The warm-up has the mean rate.
    """

    pattern: Literal["sine"] = Field(description="Open loop, rate swinging around its mean.")
    amplitude: float = Field(gt=0, le=1, description="Largest deviation from the mean rate, as a share of it.")
    period: DurationNs = Field(gt=0, le=_DAY_NS, description="Length of one swing; above 0s, at most 24h.")
    arrivals: Arrivals = Field("poisson", description="At random around the rate, or as evenly as it allows.")

    def planned_requests(self) -> float:
        """A last swing that is not whole adds what its first part has above the mean."""
        radians = 2 * math.pi * self.duration / self.period
        return super().planned_requests() + self.rate * self.amplitude * self.period / 1e9 * (1 - math.cos(radians)) / (
            2 * math.pi
        )


class TraceWorkload(OpenWorkload):
    """Arrivals as they were recorded; the trace's zero falls at the start of the warm-up."""

    pattern: Literal["trace"] = Field(description="Open loop, arrivals of an uploaded trace.")
    trace: Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9._-]{0,62}[a-z0-9])?$")] = Field(
        description="Name of an uploaded trace: CSV or JSON lines with a time of arrival in each row."
    )
    speed: float = Field(1.0, gt=0, le=10_000, description="2 replays the trace in half its time.")


class OfflineWorkload(WorkloadSection):
    """Everything is due at once; the window's throughput is what counts."""

    pattern: Literal["offline"] = Field(description="All requests due at the window's start.")
    requests: int = Field(ge=1, le=MAX_PLANNED_REQUESTS, description="How many requests.")
    max_in_flight: int = Field(64, ge=1, le=65_536, description="Declared cap on requests in flight.")

    def planned_requests(self) -> float:
        return float(self.requests)

    def _rate_key(self) -> str:
        return "requests"


class MlperfWorkload(WorkloadSection):
    """One of the four scenarios of MLPerf Inference, as a preset of another pattern."""

    pattern: Literal["mlperf"] = Field(description="A scenario of MLPerf Inference.")
    scenario: Literal["single-stream", "multi-stream", "server", "offline"] = Field(
        description="One query after another (of 8 samples in multi-stream), Poisson at a rate, or all at once."
    )
    rate: Rate | None = Field(None, description="Queries per second; for the server scenario and no other.")
    requests: int | None = Field(
        None, ge=1, le=MAX_PLANNED_REQUESTS, description="Requests of the offline scenario; 24576 if left out."
    )

    def planned_requests(self) -> float:
        if self.scenario == "server":
            return (self.rate or 0.0) * self._span_s()
        return float(self.requests or MLPERF_OFFLINE_SAMPLES) if self.scenario == "offline" else 0.0

    def _contradictions(self) -> Iterator[Contradiction]:
        yield from super()._contradictions()
        if (self.scenario == "server") != (self.rate is not None):
            yield Contradiction(("rate",), "a rate goes with the server scenario, and with no other")
        if self.scenario != "offline" and self.requests is not None:
            yield Contradiction(("requests",), "a number of requests goes with the offline scenario, and with no other")


class SearchWorkload(WorkloadSection):
    """Finds the highest rate that meets the limits. Every probe is a run of the job with a pattern of its own."""

    pattern: Literal["search"] = Field(description="Search for the highest rate that meets `slo`.")
    slo: SloSpec = Field(description="What a rate has to meet.")
    arrivals: Arrivals = Field("poisson", description="Pattern of the probes.")
    start_rate: Rate = Field(10.0, description="Requests per second of the first probe.")
    max_rate: Rate = Field(100_000.0, description="No probe goes above it.")
    probes: int = Field(MAX_PROBES, ge=2, le=MAX_PROBES, description="Most probes.")
    precision: float = Field(
        0.05, ge=0.005, le=0.5, description="Stop once the rate is known this well, as a share of it."
    )

    def planned_requests(self) -> float:
        return self.start_rate * self._span_s()

    def _rate_key(self) -> str:
        return "start_rate"

    def _contradictions(self) -> Iterator[Contradiction]:
        yield from super()._contradictions()
        if not self.slo.model_dump(exclude_none=True):
            yield Contradiction(("slo",), "a search needs at least one limit")
        if self.start_rate > self.max_rate:
            yield Contradiction(("start_rate",), "is above max_rate")


class ColdStartWorkload(Section):
    """Starts the service from nothing again and again; there is no load beside a few inferences after each start."""

    pattern: Literal["cold-start"] = Field(description="The service is started again and again; no arrival process.")
    repeats: int = Field(5, ge=1, le=MAX_COLD_STARTS, description="How many starts.")
    cache: Literal["warm", "cold"] = Field(
        "warm", description="Whether the model's file is in the page cache before each start, or dropped from it."
    )
    inferences: int = Field(
        50,
        ge=10,
        le=10_000,
        description="Inferences after each first answer, one at a time, that show from which on latency is steady.",
    )
    seed: int = Field(1, ge=0, le=2**63 - 1, description="Seed of payloads; repeat r of a job uses seed + r.")
    request_timeout: DurationNs = Field(
        10_000_000_000, gt=0, le=_HOUR_NS, description="An inference is given up after this; above 0s, at most 1h."
    )

    @property
    def load_ns(self) -> int:
        """No load goes by the clock."""
        return 0

    def planned_requests(self) -> float:
        """Nothing arrives."""
        return 0.0


WorkloadSpec = Annotated[
    ClosedWorkload
    | ConstantWorkload
    | PoissonWorkload
    | GammaWorkload
    | MmppWorkload
    | RampWorkload
    | StepWorkload
    | SpikeWorkload
    | SineWorkload
    | TraceWorkload
    | OfflineWorkload
    | MlperfWorkload
    | ColdStartWorkload
    | SearchWorkload,
    Field(discriminator="pattern"),
]
