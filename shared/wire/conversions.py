"""Conversions in the background: what people ask for and see, and what a converter is told and tells."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field

from shared.jobs.conversion import ConversionState
from shared.jobs.spec import Name
from shared.wire.assignment import ModelPin
from shared.wire.identity import Wire
from shared.wire.views import View

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$", description="SHA-256 of the bytes, in lower-case hex.")]
Words = Annotated[str, Field(min_length=1, max_length=2000)]


class WantedModel(Wire):
    """The model to convert."""

    name: Name
    version: int | None = Field(None, ge=1, description="The newest that is ready where none is given.")


class NewConversion(Wire):
    """POST /conversions."""

    model: WantedModel
    to: str = Field(max_length=64, description="What to make of it; what there is depends on the model's format.")
    dataset: Name | None = Field(None, description="Built-in dataset to compare and calibrate with; else what fits.")
    name: Name | None = Field(None, alias="as", description="Name of the new model; MODEL-TO where none is given.")


class ConvertedView(View):
    """The model that came of a conversion."""

    name: str
    version: int
    sha256: str


class ConversionView(View):
    """A conversion as it stands. ``waiting``: what a live one waits for; ``cause``: why it ended, or is queued again.

    ``result`` is there once it has succeeded.
    """

    id: str
    owner: str
    model: str
    version: int
    to: str
    dataset: str | None = None
    name: str  # of the new model
    state: ConversionState
    attempt: int
    converter: str | None = None
    waiting: str | None = None
    cause: str | None = None
    result: ConvertedView | None = None
    created_at: datetime
    updated_at: datetime
    links: dict[str, str] = Field(default_factory=dict)


class ConverterClaim(Wire):
    """POST /converters/{name}/claim. ``waiting``: it takes nothing now, because of this."""

    incarnation: Annotated[str, Field(min_length=1, max_length=64)]
    waiting: Words | None = None


class ConversionOrder(Wire):
    """What to convert. The lease counts from before the claim was sent, on the converter's monotonic clock."""

    id: str
    attempt: int
    fence: int
    to: str
    dataset: str | None
    source: ModelPin


class ConverterAnswer(Wire):
    """The answer to a claim: an order, if there is one, and how to behave until the next claim.

    ``bell_queue`` is the Celery queue whose messages mean "claim now".
    """

    order: ConversionOrder | None
    lease_s: float
    poll_s: float
    broker_url: str | None
    bell_queue: str


class ConversionLeaseCall(Wire):
    """POST /converters/{name}/conversions/{id}/lease. ``waiting``: it stands still, because of this."""

    fence: int
    waiting: Words | None = None


class NewResult(Wire):
    """POST /converters/{name}/conversions/{id}/result: what was made, before its bytes are sent."""

    fence: int
    sha256: Sha256
    size_bytes: int = Field(ge=1)
    card: dict[str, Any]


class ConversionEnd(Wire):
    """POST /converters/{name}/conversions/{id}/finish. Idempotent by (conversion, fence).

    ``converted``: the announced result is uploaded; ``refused``: the model cannot be converted; ``stopped``: the
    converter was told to stop; ``broken``: its machine failed it.
    """

    fence: int
    outcome: Literal["converted", "refused", "stopped", "broken"]
    detail: str = Field("", max_length=2000)
