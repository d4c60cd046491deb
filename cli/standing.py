"""How the queue stands, as lines: a run's explanation, the scheduling settings, a follower that drains."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from cli.quantities import NOT_AVAILABLE, printable, seconds
from cli.tables import table
from shared.errors import NotFound
from shared.wire.scheduling import ExplainView, SchedulingView
from shared.wire.views import Eta, FollowerView

if TYPE_CHECKING:
    from cli.client import Client

_LOOK_EVERY_S: Final = 1.0
_IDLE_LOOKS: Final = 2


def explain_lines(view: ExplainView) -> list[str]:
    """State first, then place and times, then what its rank is made of."""
    stands = view.state if view.state == view.why else f"{view.state}, {view.why}"
    lines = [printable(f"{view.run_id}: {stands}: {view.words}")]
    if view.position is not None:
        lines.append(f"position {view.position} of {view.queued} that compete for the same slots, by {view.policy}")
    lines += table(
        ("", "P50", "P90"),
        (
            (name, *_eta(eta))
            for name, eta in (
                ("starts in", view.starts_in),
                ("ends in", view.ends_in),
                ("takes", view.predicted),
            )
        ),
    )
    return lines + [printable(f"- {reason.words}") for reason in view.reasons]


def _eta(eta: Eta | None) -> tuple[str, str]:
    return (NOT_AVAILABLE, NOT_AVAILABLE) if eta is None else (seconds(eta.p50_s), seconds(eta.p90_s))


def scheduling_lines(view: SchedulingView) -> list[str]:
    """The settings, the teams' quotas, and what they mean for what is there."""
    settings = view.settings.model_dump(exclude={"quotas"})
    lines = table(("SETTING", "VALUE"), ((name, str(value)) for name, value in settings.items()))
    quotas = view.settings.quotas
    if quotas:
        rows = (
            (team, *("-" if limit is None else f"{limit:g}" for limit in quota.model_dump().values()))
            for team, quota in sorted(quotas.items())
        )
        lines += ["", *table(("TEAM", "QUEUED", "RUNNING", "DEVICE-S", "WEIGHT"), rows)]
    return lines + [printable(f"note: {notice}") for notice in view.notices]


def drained(client: "Client", name: str, sleep: Callable[[float], None] = time.sleep) -> FollowerView:
    """The follower once it runs nothing, twice in a row: a claim may have been on its way when the cordon came.

    Raises:
        NotFound: there is no such follower.
    """
    idle = 0
    while True:
        found = next((view for view in client.followers() if view.name == name), None)
        if found is None:
            raise NotFound(f"there is no follower {name!r}")
        idle = 0 if found.running else idle + 1
        if idle == _IDLE_LOOKS:
            return found
        sleep(_LOOK_EVERY_S)
