"""The policies that can be chosen: where a run may wait (placement), and which waiting run is next (order)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from shared.errors import InvalidInput, Problem

Floats = NDArray[np.float64]

PLACEMENTS: Final[Mapping[str, str]] = {
    "round-robin": "each run is bound on arrival, to the slots in turn",
    "queue-aware": "each run is bound on arrival, to the slot with the fewest predicted seconds queued",
    "late-binding": "a run is bound when a slot is free for it, and not before",
}
"""Name -> what it does. The first two bind early: a run then waits for its own slot, even while others are idle."""

CLASSES: Final[Mapping[str, int]] = {"urgent": 0, "high": 1, "normal": 2, "low": 3}
"""Priority class -> its rank; a lower rank goes first, whatever the order says."""


HALVED_AFTER_WAITS: Final = 1.5
AGING_POWER: Final = 6
"""With aging 1, a run that has waited 1.5 virtual waits counts as half as long as it is; twice that, as a 65th.

A virtual wait (``shared.scheduling.virtual_wait``) is what first-come would make a new run wait. So waiting is measured
by what is usual at the moment, be runs seconds or hours long, and the longest waits are a multiple of first-come's.
Chosen by simulation at load 0.9 on 24 seeds beside those that are reported, for a small cost in mean completion time
with longest waits well below 3.5 times first-come's: uniform, log-normal and bimodal durations cost 0.6, 1.8 and 0.5 %
and wait 2.9, 2.9 and 2.6 times as long. The fourth power does as well with waits up to 3.4 times. A fixed time, 2 h
to the square, costs 0.4, 2.0 and 1.5 % with 3.4, 3.2 and 1.9 times: it comes late for uniform durations and early for
bimodal ones, and for runs of seconds never.
"""


@dataclass(frozen=True)
class Columns:
    """What an order may look at; one entry per queued run."""

    predicted_s: Floats
    waited_s: Floats
    submitted_s: Floats
    deadline_s: Floats  # infinity where there is none
    virtual_wait_s: Floats  # for the slots that could take the run; only where the order ages


def _first_come(runs: Columns, _: float) -> Floats:
    return runs.submitted_s


def _shortest_first(runs: Columns, _: float) -> Floats:
    return runs.predicted_s


def _aged(runs: Columns, aging: float) -> Floats:
    """Predicted / (1 + (aging * wait / 1.5 virtual waits)^6), so that a long run passes short ones in the end.

    The high power leaves short waits alone, which is where shortest-first earns its mean, and is soon strong after
    that. Waiting is not measured by the run's own length: so the longest runs would age slowest, and they are those
    that wait longest.
    """
    return runs.predicted_s / (1 + (aging * runs.waited_s / (HALVED_AFTER_WAITS * runs.virtual_wait_s)) ** AGING_POWER)


def _earliest_deadline(runs: Columns, _: float) -> Floats:
    return runs.deadline_s


@dataclass(frozen=True)
class Order:
    """A rank in one unit, the smallest first; ties go to the run submitted first."""

    rank: Callable[[Columns, float], Floats]
    unit: str
    by_size: bool = False  # a saved set-up time makes the rank smaller
    ages: bool = False  # the rank depends on how long the queue is


ORDERS: Final[Mapping[str, Order]] = {
    "first-come": Order(_first_come, "s submitted"),
    "shortest-first": Order(_shortest_first, "s predicted", by_size=True),
    "shortest-first-aged": Order(_aged, "s predicted, aged", by_size=True, ages=True),
    "earliest-deadline": Order(_earliest_deadline, "s deadline"),
}
"""Name -> order within a team. ``fair-share`` puts the teams around one of these."""

FAIR_SHARE: Final = "fair-share"
ORDER_NAMES: Final = (*ORDERS, FAIR_SHARE)

T = TypeVar("T")


def known(table: Mapping[str, T], name: str, what: str) -> T:
    """The entry of ``name``.

    Raises:
        InvalidInput: there is none; the known names are listed.
    """
    if name not in table:
        allowed = ", ".join(table)
        problem = Problem(message=f"there is no {what} {name!r}", path=what, found=name, allowed=allowed)
        raise InvalidInput(f"there is no {what} {name!r}; known: {allowed}", problems=[problem])
    return table[name]


def _wrong(name: str, value: float, allowed: str) -> InvalidInput:
    problem = Problem(message=f"{name} is {value}", path=name, found=str(value), allowed=allowed)
    return InvalidInput(f"{name} is {value}; it must be {allowed}", problems=[problem])


@dataclass(frozen=True, kw_only=True)
class SchedulingPolicy:
    """What the leader's settings choose; may be changed while runs are queued.

    Raises:
        InvalidInput: no such placement or order, or a parameter that cannot be.
    """

    placement: str = "late-binding"
    order: str = FAIR_SHARE
    within_team: str = "shortest-first-aged"  # the order inside a team; used by fair-share only
    aging: float = 1.0  # how fast waiting counts; 0: off, shortest-first-aged is then shortest-first
    half_life_s: float = 86_400.0  # after which a used device-second counts half
    promotion_s: float = 86_400.0  # a run that waited this long moves up one priority class, never to urgent
    affinity: bool = True  # count the set-up time that a warm slot saves

    def __post_init__(self) -> None:
        known(PLACEMENTS, self.placement, "placement")
        known(dict.fromkeys(ORDER_NAMES), self.order, "order")
        known(ORDERS, self.within_team, "order")
        if not self.aging >= 0:
            raise _wrong("aging", self.aging, "0 (off) or more")
        for name in ("half_life_s", "promotion_s"):
            if not getattr(self, name) > 0:
                raise _wrong(name, getattr(self, name), "more than 0")

    @property
    def is_fair(self) -> bool:
        return self.order == FAIR_SHARE

    @property
    def binds_early(self) -> bool:
        return self.placement != "late-binding"

    @property
    def inner(self) -> Order:
        """The order of runs of one team."""
        return ORDERS[self.within_team if self.is_fair else self.order]

    @property
    def name(self) -> str:
        return f"{self.placement}+{self.order}"


DEFAULT: Final = SchedulingPolicy()


def policy_named(text: str) -> SchedulingPolicy:
    """``PLACEMENT+ORDER``, or one of the two alone: the other part is the default's.

    Raises:
        InvalidInput: no such policy; the known ones are listed.
    """
    chosen: dict[str, str] = {}
    for part in text.split("+"):
        kind = "placement" if part in PLACEMENTS else "order" if part in ORDER_NAMES else ""
        if not kind or kind in chosen:
            allowed = ", ".join((*PLACEMENTS, *ORDER_NAMES))
            problem = Problem(message=f"there is no policy {text!r}", path="policy", found=text, allowed=allowed)
            raise InvalidInput(
                f"there is no policy {text!r}; known are PLACEMENT+ORDER with placements {', '.join(PLACEMENTS)}"
                f" and orders {', '.join(ORDER_NAMES)}",
                problems=[problem],
            )
        chosen[kind] = part
    return SchedulingPolicy(**chosen)  # type: ignore[arg-type]  # both keys are names of str fields
