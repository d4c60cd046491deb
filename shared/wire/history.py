"""The history of ended runs: a CSV trace, and beside it, in one header, what a replay has to know."""

from typing import Annotated, Final

from pydantic import Field

from shared.wire.identity import Wire
from shared.wire.scheduling import SchedulingSettings

HEADER: Final = "InferBench-History"
"""Carries ``HistoryFacts`` as JSON."""


class HistoryFacts(Wire):
    """What the lines do not say."""

    slots: dict[str, Annotated[int, Field(ge=1)]] = Field(description="Device class -> slots of live followers now.")
    settings: SchedulingSettings = Field(description="How the queue is ordered now; quotas are left out.")
    left_out: int = Field(ge=0, description="Ended runs that an older version noted, without the time of submission.")
