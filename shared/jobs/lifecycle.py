"""A run's life: states, causes and the moves between them, as pure functions.

    queued ──claim──> claimed ──start──> running ──finish──> succeeded | failed
      ^                  │                  │
      └───── requeue ────┴──────────────────┘     (lease expired; fence grows; bounded, then lost)
    queued | claimed | running ──cancel──> cancelled

Each move returns the fields to set. The store applies them only where (state, fence) are still what the
move was decided on; that compare-and-set on one document is the whole concurrency protocol.
"""

from datetime import datetime, timedelta
from enum import StrEnum

from pydantic import BaseModel, ConfigDict


class RunState(StrEnum):
    """Where a run stands."""

    QUEUED = "queued"
    CLAIMED = "claimed"  # a follower holds its lease; nothing has been started yet
    RUNNING = "running"  # the follower reported that it started
    SUCCEEDED = "succeeded"  # a record exists
    FAILED = "failed"  # the run's own fault; see the cause
    CANCELLED = "cancelled"
    LOST = "lost"  # infrastructure failed it as often as is allowed

    @property
    def is_terminal(self) -> bool:
        return self in TERMINAL

    @property
    def is_leased(self) -> bool:
        return self in {RunState.CLAIMED, RunState.RUNNING}


TERMINAL = frozenset({RunState.SUCCEEDED, RunState.FAILED, RunState.CANCELLED, RunState.LOST})


class Cause(StrEnum):
    """Why a run ended other than by success, or was requeued."""

    # the run's own: not retried
    MODEL_UNAVAILABLE = "model-unavailable"
    MODEL_LOAD_FAILED = "model-load-failed"
    SERVER_NOT_READY = "server-not-ready"
    SERVER_DIED = "server-died"
    SERVER_OUT_OF_MEMORY = "server-out-of-memory"
    PIPELINE_FAILED = "pipeline-failed"
    NO_SUCCESSFUL_REQUEST = "no-successful-request"
    TIMED_OUT = "timed-out"
    # infrastructure's: retried up to a bound
    LEASE_EXPIRED = "lease-expired"
    FOLLOWER_STOPPED = "follower-stopped"
    FOLLOWER_ERROR = "follower-error"
    DISK_FULL = "disk-full"
    # a person's
    CANCELLED_BY_USER = "cancelled-by-user"

    @property
    def is_infrastructure(self) -> bool:
        return self in {Cause.LEASE_EXPIRED, Cause.FOLLOWER_STOPPED, Cause.FOLLOWER_ERROR, Cause.DISK_FULL}


MAX_INFRASTRUCTURE_RETRIES = 3


class Lease(BaseModel):
    """Who may execute a run, and until when (the leader's clock)."""

    model_config = ConfigDict(frozen=True)

    follower: str
    incarnation: str
    slot: str
    expires_at: datetime


class RunStatus(BaseModel):
    """The part of a run that moves. ``attempt`` counts claims; ``fence`` grows with claim, requeue, cancel."""

    model_config = ConfigDict(frozen=True)

    state: RunState = RunState.QUEUED
    fence: int = 0
    attempt: int = 0
    infrastructure_failures: int = 0
    lease: Lease | None = None
    cause: Cause | None = None
    detail: str | None = None
    log_tail: str | None = None


class IllegalMove(ValueError):
    """The state does not allow the move."""

    def __init__(self, move: str, state: RunState) -> None:
        self.move, self.state = move, state
        super().__init__(f"a run that is {state} cannot be moved by {move!r}")


def _require(status: RunStatus, move: str, *allowed: RunState) -> None:
    if status.state not in allowed:
        raise IllegalMove(move, status.state)


def claim(status: RunStatus, lease: Lease) -> RunStatus:
    """A follower takes a queued run: next attempt, new fence."""
    _require(status, "claim", RunState.QUEUED)
    return status.model_copy(
        update={
            "state": RunState.CLAIMED,
            "fence": status.fence + 1,
            "attempt": status.attempt + 1,
            "lease": lease,
            "cause": None,
            "detail": None,
            "log_tail": None,
        }
    )


def start(status: RunStatus) -> RunStatus:
    """The follower began to execute. A repeated report changes nothing."""
    _require(status, "start", RunState.CLAIMED, RunState.RUNNING)
    return status.model_copy(update={"state": RunState.RUNNING})


def renew(status: RunStatus, expires_at: datetime) -> RunStatus:
    """The holder of the lease is alive."""
    _require(status, "renew", RunState.CLAIMED, RunState.RUNNING)
    lease = status.lease.model_copy(update={"expires_at": expires_at}) if status.lease else None
    return status.model_copy(update={"lease": lease})


def succeed(status: RunStatus) -> RunStatus:
    """The attempt delivered its result under the current fence."""
    _require(status, "succeed", RunState.CLAIMED, RunState.RUNNING)
    return status.model_copy(update={"state": RunState.SUCCEEDED, "lease": None})


def fail(status: RunStatus, cause: Cause, detail: str, log_tail: str = "") -> RunStatus:
    """The attempt failed: final if it is the run's own fault, otherwise requeued until the bound."""
    _require(status, "fail", RunState.CLAIMED, RunState.RUNNING)
    if cause.is_infrastructure:
        return requeue(status, cause, detail, log_tail)
    return status.model_copy(
        update={
            "state": RunState.FAILED,
            "lease": None,
            "cause": cause,
            "detail": detail,
            "log_tail": log_tail or None,
        }
    )


def requeue(status: RunStatus, cause: Cause, detail: str, log_tail: str = "") -> RunStatus:
    """Infrastructure failed the attempt: back to the queue under a new fence, or lost once the bound is hit.

    A run is lost with its failure number ``MAX_INFRASTRUCTURE_RETRIES`` + 1, so it is claimed that often at most.
    """
    _require(status, "requeue", RunState.CLAIMED, RunState.RUNNING)
    failures = status.infrastructure_failures + 1
    lost = failures > MAX_INFRASTRUCTURE_RETRIES
    return status.model_copy(
        update={
            "state": RunState.LOST if lost else RunState.QUEUED,
            "fence": status.fence + 1,
            "lease": None,
            "infrastructure_failures": failures,
            "cause": cause,
            "detail": detail,
            "log_tail": log_tail or None,
        }
    )


def cancel(status: RunStatus) -> RunStatus:
    """Final at once: the fence grows, so nothing that the attempt still sends is accepted."""
    _require(status, "cancel", RunState.QUEUED, RunState.CLAIMED, RunState.RUNNING)
    return status.model_copy(
        update={
            "state": RunState.CANCELLED,
            "fence": status.fence + 1,
            "lease": None,
            "cause": Cause.CANCELLED_BY_USER,
            "detail": None,
            "log_tail": None,
        }
    )


def is_expired(status: RunStatus, now: datetime, grace: timedelta) -> bool:
    """Whether the lease ran out so long ago that its holder must have stopped itself."""
    return status.state.is_leased and status.lease is not None and status.lease.expires_at + grace < now
