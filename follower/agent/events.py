"""What the agent hears (events) and what it decides to do (instructions): plain values, no behaviour."""

from dataclasses import dataclass
from typing import Literal

from shared.wire.assignment import Assignment, Failure, ProgressEvent
from shared.wire.identity import RegistrationAnswer


@dataclass(frozen=True, order=True)
class AttemptKey:
    """One attempt: who we are when we speak of it."""

    run_id: str
    attempt: int
    fence: int

    def __str__(self) -> str:
        return f"{self.run_id}.{self.attempt}"


# ---------------------------------------------------------------------------------------------------- events


@dataclass(frozen=True)
class Started:
    """The agent begins. ``leftovers``: attempts of an earlier incarnation whose results were never delivered."""

    leftovers: tuple[AttemptKey, ...] = ()


@dataclass(frozen=True)
class Registered:
    """The leader knows us."""

    answer: RegistrationAnswer


@dataclass(frozen=True)
class Bell:
    """Somebody says that there is news for us: work, or a cancel."""


@dataclass(frozen=True)
class Tick:
    """Time has passed."""


@dataclass(frozen=True)
class ClaimAnswered:
    """The leader answered a request for work; the lease counts from before that request was sent."""

    slot: str
    sent_at_ns: int
    assignment: Assignment | None


@dataclass(frozen=True)
class ClaimFailed:
    """A request for work got no answer; whether the leader took it is unknown."""

    slot: str


@dataclass(frozen=True)
class LeaseRenewed:
    """The attempt may go on for ``lease_s`` from before the request was sent."""

    key: AttemptKey
    sent_at_ns: int
    lease_s: float


@dataclass(frozen=True)
class RenewalFailed:
    """A renewal got no answer."""

    key: AttemptKey


@dataclass(frozen=True)
class LeaseRefused:
    """The fence is stale: cancelled, requeued, or taken by another follower."""

    key: AttemptKey


@dataclass(frozen=True)
class AttemptProgressed:
    """The attempt process told something."""

    key: AttemptKey
    event: ProgressEvent


@dataclass(frozen=True)
class ProgressDelivered:
    """The leader has our progress up to and including number ``last_n``."""

    key: AttemptKey
    last_n: int


@dataclass(frozen=True)
class ProgressFailed:
    """Progress got no answer; it will be sent again."""

    key: AttemptKey


@dataclass(frozen=True)
class AttemptExited:
    """The attempt process is gone. ``failure`` where it left no outcome of its own."""

    key: AttemptKey
    failure: Failure | None = None


@dataclass(frozen=True)
class ResultDelivered:
    """The leader has the result; it may have kept it only as evidence."""

    key: AttemptKey
    accepted: bool


@dataclass(frozen=True)
class ResultRefused:
    """The leader will never take the result."""

    key: AttemptKey
    reason: str


@dataclass(frozen=True)
class DeliveryFailed:
    """The result got no answer; it will be sent again."""

    key: AttemptKey


@dataclass(frozen=True)
class Beaten:
    """A heartbeat was answered (``known``), or the leader says that it does not know us."""

    known: bool


@dataclass(frozen=True)
class CallFailed:
    """A registration or heartbeat got no answer."""

    call: Literal["register", "heartbeat"]


@dataclass(frozen=True)
class ShutOut:
    """The leader will not have us: a wrong token, or another agent under our name."""

    reason: str


@dataclass(frozen=True)
class StopRequested:
    """Somebody asks the agent to stop; asked twice, it stops without saying good-bye."""


Event = (
    Started
    | Registered
    | Bell
    | Tick
    | ClaimAnswered
    | ClaimFailed
    | LeaseRenewed
    | RenewalFailed
    | LeaseRefused
    | AttemptProgressed
    | ProgressDelivered
    | ProgressFailed
    | AttemptExited
    | ResultDelivered
    | ResultRefused
    | DeliveryFailed
    | Beaten
    | CallFailed
    | ShutOut
    | StopRequested
)

# ---------------------------------------------------------------------------------------------- instructions


@dataclass(frozen=True)
class Register:
    """Tell the leader who we are."""


@dataclass(frozen=True)
class SendHeartbeat:
    """Tell the leader that we live; or, ``leaving``, that we stop and hold nothing any more."""

    busy_slots: tuple[str, ...]
    leaving: bool = False


@dataclass(frozen=True)
class AskForWork:
    """Claim a run for a slot."""

    slot: str


@dataclass(frozen=True)
class StartAttempt:
    """Start the attempt's process."""

    key: AttemptKey
    slot: str
    assignment: Assignment


@dataclass(frozen=True)
class RenewLease:
    """Ask for more time; ``started`` tells the leader that the run is running."""

    key: AttemptKey
    started: bool


@dataclass(frozen=True)
class ForwardProgress:
    """Send an attempt's news, oldest first."""

    key: AttemptKey
    events: tuple[ProgressEvent, ...]


@dataclass(frozen=True)
class KillAttempt:
    """End the attempt's process and all that it started, now; ``failure`` will be delivered for it, if anything is."""

    key: AttemptKey
    reason: str
    failure: Failure | None = None


@dataclass(frozen=True)
class DeliverResult:
    """Upload what the attempt left. ``failure`` speaks for an attempt that left nothing."""

    key: AttemptKey
    failure: Failure | None


@dataclass(frozen=True)
class Forget:
    """Remove what the attempt left on disk."""

    key: AttemptKey


@dataclass(frozen=True)
class WaitUntil:
    """Nothing to do before this moment, unless something happens."""

    at_ns: int


@dataclass(frozen=True)
class Exit:
    """The agent is done. ``error`` is what to tell the person who started it."""

    error: str | None


Instruction = (
    Register
    | SendHeartbeat
    | AskForWork
    | StartAttempt
    | RenewLease
    | ForwardProgress
    | KillAttempt
    | DeliverResult
    | Forget
    | WaitUntil
    | Exit
)
