"""The arrival process of a job file: one model per pattern, chosen by ``pattern``."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from shared.jobs.units import DurationNs


class WorkloadSection(BaseModel):
    """What every pattern has."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    warmup: DurationNs = Field(2_000_000_000, ge=0, le=3_600_000_000_000, description="Load before the window.")
    duration: DurationNs = Field(10_000_000_000, gt=0, le=86_400_000_000_000, description="The measured window.")
    seed: int = Field(1, ge=0, le=2**63 - 1, description="Seed of arrivals and payload order.")
    request_timeout: DurationNs = Field(10_000_000_000, gt=0, description="A request is given up after this.")


class ClosedWorkload(WorkloadSection):
    """A fixed number of requests in flight."""

    pattern: Literal["closed"]
    concurrency: int = Field(1, ge=1, le=4096)


class ConstantWorkload(WorkloadSection):
    """Equal gaps, whatever the server does."""

    pattern: Literal["constant"]
    rate: float = Field(gt=0, le=1_000_000, description="Requests per second.")


class PoissonWorkload(WorkloadSection):
    """Exponential gaps, whatever the server does."""

    pattern: Literal["poisson"]
    rate: float = Field(gt=0, le=1_000_000, description="Mean requests per second.")


WorkloadSpec = Annotated[ClosedWorkload | ConstantWorkload | PoissonWorkload, Field(discriminator="pattern")]
