"""Everything that a scheduling decision looks at, at one moment; leader, simulator and explain build the same."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple, Protocol

from shared.scheduling.backlog import Backlog, SlotKey
from shared.scheduling.capability import unmet
from shared.scheduling.needs import Needs
from shared.wire.identity import Capabilities, Slot


@dataclass(frozen=True, kw_only=True)
class Occupant:
    """The run that a slot is busy with."""

    run_id: str
    team: str
    started_s: float
    predicted_end_s: float


@dataclass(frozen=True, kw_only=True)
class SlotState:
    """One slot of a live follower."""

    key: SlotKey
    slot: Slot | None = None
    capabilities: Capabilities | None = None
    generation: str = ""  # the follower's incarnation: what it announced may change with it
    occupant: Occupant | None = None  # None: free
    warm: frozenset[str] = frozenset()  # affinities that need no set-up here
    accepts: bool = True  # False: cordoned or draining, so it finishes what it has and gets nothing new


@dataclass(frozen=True, kw_only=True)
class TeamUse:
    """What a team has used: device-seconds of ended runs, halved once per half-life."""

    decayed_s: float = 0.0
    as_of_s: float = 0.0  # the moment at which ``decayed_s`` was right
    spent_s: float = 0.0  # in the period of its quota, not decayed

    def at(self, now_s: float, half_life_s: float) -> float:
        """Decayed device-seconds at ``now_s``."""
        elapsed_s = max(now_s - self.as_of_s, 0.0)
        return self.decayed_s * float(0.5 ** (elapsed_s / half_life_s))

    def plus(self, device_s: float, now_s: float, half_life_s: float) -> "TeamUse":
        """After a run of ``device_s`` that ended at ``now_s``."""
        decayed_s = self.at(now_s, half_life_s) + device_s
        return TeamUse(decayed_s=decayed_s, as_of_s=now_s, spent_s=self.spent_s + device_s)


@dataclass(frozen=True, kw_only=True)
class Quota:
    """Limits of a team; None is no limit. ``weight`` is its share beside the others'."""

    queued: int | None = None
    running: int | None = None
    device_s: float | None = None
    weight: float = 1.0

    def holds_back(self, use: "UseNow") -> bool:
        """Whether the team may start nothing more now."""
        is_full = self.running is not None and use.running >= self.running
        return is_full or (self.device_s is not None and use.spent_s >= self.device_s)


class Fits(Protocol):
    """Whether a run with ``needs`` can run on a slot."""

    def __call__(self, needs: Needs, slot: SlotState) -> bool: ...


def capable(needs: Needs, slot: SlotState) -> bool:
    """By what the follower announces."""
    return slot.capabilities is not None and not unmet(needs, slot.capabilities, slot=slot.slot)


class RememberedFits:
    """``fits``, asked once for each (needs, slot, generation)."""

    def __init__(self, fits: Fits = capable) -> None:
        self._fits = fits
        self._known: dict[tuple[SlotKey, str], dict[Needs, bool]] = {}

    def __call__(self, needs: Needs, slot: SlotState) -> bool:
        known = self._known.setdefault((slot.key, slot.generation), {})
        found = known.get(needs)
        if found is None:
            found = known[needs] = self._fits(needs, slot)
        return found


NO_QUOTA: Final = Quota()
UNUSED: Final = TeamUse()


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """One moment of queue and followers; a decision never changes it."""

    now_s: float
    backlog: Backlog
    slots: Sequence[SlotState]  # of live followers only
    use: Mapping[str, TeamUse] = field(default_factory=dict)  # by team
    quotas: Mapping[str, Quota] = field(default_factory=dict)  # by team
    fits: Fits = capable
    bound_so_far: int = 0  # runs bound since the start: where round-robin goes on

    def quota(self, team: str) -> Quota:
        return self.quotas.get(team, NO_QUOTA)

    def uses(self, teams: Sequence[str], half_life_s: float) -> list["UseNow"]:
        """What each team uses now, its running runs included with all of their predicted length."""
        running_s, running = dict.fromkeys(teams, 0.0), dict.fromkeys(teams, 0)
        for occupant in self.occupants():
            if occupant.team in running:
                running_s[occupant.team] += max(occupant.predicted_end_s, self.now_s) - occupant.started_s
                running[occupant.team] += 1
        found = []
        for team in teams:
            past = self.use.get(team, UNUSED)
            weighted_s = (past.at(self.now_s, half_life_s) + running_s[team]) / self.quota(team).weight
            found.append(UseNow(weighted_s, past.spent_s + running_s[team], running[team]))
        return found

    def occupants(self) -> list[Occupant]:
        """What runs."""
        return [slot.occupant for slot in self.slots if slot.occupant is not None]


class UseNow(NamedTuple):
    """A team's use at the moment of a snapshot."""

    weighted_s: float  # decayed device-seconds over the team's weight
    spent_s: float  # device-seconds in the period of its quota
    running: int
