"""The link between client and server that a job asks for."""

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from shared.jobs.section import Section


class NetworkLink(Section):
    """A link given by its numbers."""

    delay_ms: float = Field(0.0, ge=0, le=10_000, description="One way.")
    jitter_ms: float = Field(0.0, ge=0, le=10_000, description="Standard deviation of the delay.")
    rate_mbit: float | None = Field(None, gt=0, le=1_000_000, description="Bandwidth; unlimited where absent.")
    loss_pct: float = Field(0.0, ge=0, lt=100, description="Share of lost packets.")


NetworkProfile = Literal["none", "lan", "wifi", "lte"]


def _network_kind(value: Any) -> str:
    return "NetworkLink" if isinstance(value, dict | NetworkLink) else "NetworkProfile"


NetworkSpec = Annotated[
    Annotated[NetworkProfile, Tag("NetworkProfile")] | Annotated[NetworkLink, Tag("NetworkLink")],
    Discriminator(_network_kind),
]
