"""What the agent knows, frozen; and ``step``, which turns one event into the next state and instructions.

    event ──react──> state ──settle──> state, instructions

``react`` only notes what happened; ``settle`` derives everything that is now due from the state and the time.
So a duty cannot be forgotten on one path and remembered on another, and any event at any time is safe.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final

from follower.agent.events import AttemptKey
from shared.wire.assignment import Assignment, Failure, ProgressEvent
from shared.wire.identity import RegistrationAnswer

SECOND_NS: Final = 1_000_000_000
FIRST_BACKOFF_NS: Final = 1 * SECOND_NS
LONGEST_BACKOFF_NS: Final = 30 * SECOND_NS
RENEWALS_PER_LEASE: Final = 3
LONGEST_MARGIN_NS: Final = 3 * SECOND_NS
MARGIN_SHARE: Final = 5
"""An attempt is stopped 3 s (a fifth of a lease under 15 s) before its lease ends, so that it is gone by then."""
RENEWAL_RETRY_NS: Final = SECOND_NS // 2
BELL_GAP_NS: Final = 1 * SECOND_NS
"""However often the bell rings, a lease is looked at no oftener than this: a measurement is going on."""
MOST_PROGRESS: Final = 200


class Phase(StrEnum):
    """Where the agent stands."""

    LEFTOVERS = "leftovers"  # an earlier incarnation's results go first: registering voids their leases
    REGISTERING = "registering"
    SERVING = "serving"
    STOPPING = "stopping"
    STOPPED = "stopped"


class Stage(StrEnum):
    """Where an attempt stands with us."""

    CLAIMED = "claimed"
    RUNNING = "running"
    KILLING = "killing"
    DELIVERING = "delivering"  # its process is gone
    DONE = "done"


@dataclass(frozen=True)
class Retry:
    """When to try (again), after how many failures."""

    at_ns: int = 0
    failures: int = 0

    def failed(self, now_ns: int, dice: float) -> "Retry":
        """Back off exponentially, with half of the wait left to chance."""
        longest_ns = min(LONGEST_BACKOFF_NS, FIRST_BACKOFF_NS << min(self.failures, 10))
        return Retry(now_ns + round(longest_ns * (0.5 + 0.5 * dice)), self.failures + 1)


@dataclass(frozen=True)
class Lease:
    """The right to run an attempt, on our own monotonic clock."""

    stop_at_ns: int  # before this the process must be gone
    renew_at_ns: int
    sent_at_ns: int  # of the last request that renewed it
    in_flight: bool = False
    rung: bool = False

    @classmethod
    def granted(cls, sent_at_ns: int, lease_s: float, *, rung: bool = False) -> "Lease":
        """Counted from before the request was sent: the leader cannot have started its clock earlier."""
        lease_ns = round(lease_s * SECOND_NS)
        margin_ns = min(LONGEST_MARGIN_NS, lease_ns // MARGIN_SHARE)
        renew_in_ns = min(BELL_GAP_NS, lease_ns // RENEWALS_PER_LEASE) if rung else lease_ns // RENEWALS_PER_LEASE
        return cls(
            stop_at_ns=sent_at_ns + lease_ns - margin_ns, renew_at_ns=sent_at_ns + renew_in_ns, sent_at_ns=sent_at_ns
        )

    def hear_bell(self, now_ns: int) -> "Lease":
        """News may be a cancel, and a renewal is how we learn of one."""
        look_at_ns = max(now_ns, self.sent_at_ns + BELL_GAP_NS)
        return replace(self, rung=self.in_flight, renew_at_ns=min(self.renew_at_ns, look_at_ns))


@dataclass(frozen=True)
class Held:
    """An attempt that is ours until its result is delivered, refused, or it was killed."""

    key: AttemptKey
    stage: Stage
    slot: str | None = None  # None: left over from an earlier incarnation
    assignment: Assignment | None = None
    lease: Lease | None = None  # None once it is refused or lost
    give_up_at_ns: int | None = None
    kill_reason: str | None = None
    kill_ordered: bool = False
    failure: Failure | None = None  # to be delivered in place of what the process left
    progress: tuple[ProgressEvent, ...] = ()
    telling: bool = False  # a progress call is in flight
    tell: Retry = Retry()
    sending: bool = False  # a delivery is in flight
    send: Retry = Retry()

    @property
    def has_process(self) -> bool:
        return self.stage in {Stage.RUNNING, Stage.KILLING}

    def killed_for(self, reason: str, failure: Failure | None = None) -> "Held":
        """To be killed; without a ``failure`` there is nothing to deliver and no lease to keep."""
        lease = self.lease if failure else None
        if self.stage is Stage.CLAIMED:
            return replace(self, stage=Stage.DELIVERING if failure else Stage.DONE, failure=failure, lease=lease)
        return replace(self, stage=Stage.KILLING, kill_reason=reason, failure=failure, lease=lease)


@dataclass(frozen=True)
class SlotClock:
    """When to ask for work for a slot."""

    ask: Retry = Retry()
    asking: bool = False
    rung: bool = False  # the bell rang while an answer was on its way


@dataclass(frozen=True)
class AgentState:
    """Everything that the agent knows."""

    slots: Mapping[str, SlotClock]
    phase: Phase = Phase.LEFTOVERS
    attempts: Mapping[AttemptKey, Held] = field(default_factory=dict)
    rules: RegistrationAnswer | None = None
    register: Retry = Retry()
    registering: bool = False
    beat_at_ns: int = 0
    beating: bool = False
    stop_at_ns: int | None = None
    farewell: bool = False  # to be said last, so that the leader need not wait for our silence to get long
    exit_error: str | None = None
    dice: int = 1  # state of the generator behind the jitter

    def with_attempt(self, held: Held) -> "AgentState":
        return replace(self, attempts={**self.attempts, held.key: held})

    def without_attempt(self, key: AttemptKey) -> "AgentState":
        return replace(self, attempts={other: held for other, held in self.attempts.items() if other != key})

    def with_slot(self, name: str, clock: SlotClock) -> "AgentState":
        return replace(self, slots={**self.slots, name: clock})

    def roll(self) -> tuple["AgentState", float]:
        """The next number in [0, 1) of a small congruential generator: chance without impurity."""
        dice = (self.dice * 6364136223846793005 + 1442695040888963407) % 2**64
        return replace(self, dice=dice), (dice >> 11) / 2**53

    @property
    def busy_slots(self) -> tuple[str, ...]:
        """Slots whose device is in use or whose result is still here."""
        return tuple(sorted({held.slot for held in self.attempts.values() if held.slot is not None}))
