"""How the queue is ordered, as administrators set it, and why a run stands where it stands."""

from datetime import datetime
from typing import Annotated

from pydantic import Field

from shared.jobs.lifecycle import RunState
from shared.jobs.spec import Name
from shared.scheduling.policy import SchedulingPolicy
from shared.scheduling.snapshot import Quota
from shared.wire.identity import Wire
from shared.wire.views import Eta, View

_DEFAULT = SchedulingPolicy()

Seconds = Annotated[float, Field(gt=0, le=1e9)]


class TeamQuota(Wire):
    """A team's limits; what is left out is not limited."""

    queued: Annotated[int, Field(ge=0)] | None = Field(None, description="Most runs in the queue; more are refused.")
    running: Annotated[int, Field(ge=0)] | None = Field(None, description="Most runs at a time; more wait.")
    device_s: Annotated[float, Field(ge=0)] | None = Field(
        None, description="Most device-seconds of runs that ended within a day or run now; more wait."
    )
    weight: float = Field(1.0, gt=0, le=1e6, description="The team's share beside the others' under fair-share.")

    def to_quota(self) -> Quota:
        """As the policies take it."""
        return Quota(**self.model_dump())


class SchedulingSettings(Wire):
    """PUT /scheduling, the whole of it: what is left out gets its default. In force within two seconds."""

    placement: str = Field(_DEFAULT.placement, description="Where a run may wait: round-robin, queue-aware, ...")
    order: str = Field(_DEFAULT.order, description="Which waiting run is next: first-come, fair-share, ...")
    within_team: str = Field(_DEFAULT.within_team, description="The order inside a team, under fair-share.")
    aging: float = Field(_DEFAULT.aging, ge=0, le=1e6, description="How much waiting counts; 0: not at all.")
    half_life_s: Seconds = Field(_DEFAULT.half_life_s, description="A device-second used so long ago counts half.")
    promotion_s: Seconds = Field(
        _DEFAULT.promotion_s, description="A run that waited so long moves up a priority class, never to urgent."
    )
    affinity: bool = Field(_DEFAULT.affinity, description="Prefer a follower that has run the model before.")
    quotas: dict[Name, TeamQuota] = Field(default_factory=dict, max_length=1000, description="Team -> its limits.")

    def to_policy(self) -> SchedulingPolicy:
        """Raises InvalidInput: no such placement or order; the known ones are listed."""
        return SchedulingPolicy(**self.model_dump(exclude={"quotas"}))


class SchedulingView(View):
    """The settings in force. ``notices``: what they mean for what is there, such as a quota below what runs."""

    settings: SchedulingSettings
    placements: dict[str, str]  # name -> what it does
    orders: tuple[str, ...]
    notices: tuple[str, ...] = ()


class ReasonView(View):
    """One part of a run's rank, or of why it waits."""

    name: str
    value: float | str
    words: str


class ExplainView(View):
    """Where a run stands and why.

    ``why`` of a queued run: next, waiting, over-quota, no-follower; of others: running, ended. ``position`` counts
    from 1 among the ``queued`` runs that compete for the same slots. Times are None where nothing is in sight.
    """

    run_id: str
    state: RunState
    at: datetime
    policy: str  # PLACEMENT+ORDER
    why: str
    words: str
    position: int | None = None
    queued: int | None = None
    follower: str | None = None  # that holds it
    starts_in: Eta | None = None
    ends_in: Eta | None = None
    predicted: Eta  # how long it takes a slot
    reasons: tuple[ReasonView, ...] = ()  # of its rank, the weightiest first
