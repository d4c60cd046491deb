"""The arrival process of a job file: one model per pattern, chosen by ``pattern``."""

from collections.abc import Iterator
from typing import Annotated, Final, Literal, Self

from pydantic import Field, model_validator

from shared.jobs.section import Contradiction, Section, refuse
from shared.jobs.units import DurationNs

MAX_PLANNED_REQUESTS: Final = 10_000_000
"""Largest open-loop plan: its due times and samples must fit a follower's memory many times over."""

_HOUR_NS: Final = 3_600_000_000_000
_DAY_NS: Final = 24 * _HOUR_NS


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


class ClosedWorkload(WorkloadSection):
    """A fixed number of requests in flight."""

    pattern: Literal["closed"] = Field(description="Closed loop.")
    concurrency: int = Field(1, ge=1, le=4096, description="Requests in flight.")


class OpenWorkload(WorkloadSection):
    """Requests arrive by the clock, whatever the server does."""

    rate: float = Field(gt=0, le=1_000_000, description="Mean requests per second.")

    @model_validator(mode="after")
    def _plan_fits_memory(self) -> Self:
        refuse(self._too_many_requests())
        return self

    def _too_many_requests(self) -> Iterator[Contradiction]:
        planned = self.rate * (self.warmup + self.duration) / 1e9
        if planned > MAX_PLANNED_REQUESTS:
            most = f"at most {MAX_PLANNED_REQUESTS:,} can be planned"
            yield Contradiction(("rate",), f"rate x (warmup + duration) is {planned:,.0f} requests; {most}")


class ConstantWorkload(OpenWorkload):
    """Equal gaps, whatever the server does."""

    pattern: Literal["constant"] = Field(description="Open loop, equal gaps.")


class PoissonWorkload(OpenWorkload):
    """Exponential gaps, whatever the server does."""

    pattern: Literal["poisson"] = Field(description="Open loop, exponential gaps.")


WorkloadSpec = Annotated[ClosedWorkload | ConstantWorkload | PoissonWorkload, Field(discriminator="pattern")]
