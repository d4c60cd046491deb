"""The link between client and server that a job asks for."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag


class NetworkLink(BaseModel):
    """A link given by its numbers."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    delay_ms: float = Field(0.0, ge=0, le=10_000, description="One way.")
    jitter_ms: float = Field(0.0, ge=0, le=10_000)
    rate_mbit: float | None = Field(None, gt=0)
    loss_pct: float = Field(0.0, ge=0, lt=100)


NetworkProfile = Literal["none", "lan", "wifi", "lte"]


def _network_kind(value: Any) -> str:
    return "link" if isinstance(value, dict | NetworkLink) else "profile"


NetworkSpec = Annotated[
    Annotated[NetworkProfile, Tag("profile")] | Annotated[NetworkLink, Tag("link")],
    Discriminator(_network_kind),
]
