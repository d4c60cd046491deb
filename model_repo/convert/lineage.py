"""Where a converted model comes from, and how far its answers are from those of its source; part of its card."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Share = Annotated[float, Field(ge=0, le=1)]


class OutputCheck(BaseModel):
    """The same inputs through both models."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    inputs: str = Field(description="The dataset that they come from, or `synthetic`.")
    samples: int = Field(ge=1)
    max_abs_error: float = Field(ge=0, allow_inf_nan=False)
    max_rel_error: float = Field(ge=0, allow_inf_nan=False, description="Over the source's largest output.")
    accuracy_before: Share | None = Field(None, description="Share of samples answered right; None without labels.")
    accuracy_after: Share | None = None


class SourceModel(BaseModel):
    """The version that was converted."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    version: int
    sha256: str


class Lineage(BaseModel):
    """One conversion."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    conversion: str
    source: SourceModel
    tool: str = Field(description="Software and version.")
    parameters: dict[str, bool | int | float | str | tuple[str, ...]] = {}
    check: OutputCheck
