"""A run's life: states, causes and the moves between them, as pure functions.

    queued ──claim──> claimed ──start──> running ──finish──> succeeded | invalid | failed | timed-out
      ^                  │                  │
      └───── requeue ────┴──────────────────┘     (infrastructure failed it; fence grows; bounded, then lost or
                                                   quarantined)
    queued | claimed | running ──cancel──> cancelled
    queued | claimed | running ──expire──> timed-out  (deadline or wall-clock cap, whatever the follower says)

Each move returns the fields to set. The store applies them only where (state, fence) are still what the
move was decided on; that compare-and-set on one document is the whole concurrency protocol.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from pydantic import BaseModel, ConfigDict, Field


class RunState(StrEnum):
    """Where a run stands."""

    QUEUED = "queued"
    CLAIMED = "claimed"  # a follower holds its lease; nothing has been started yet
    RUNNING = "running"  # the follower reported that it started
    SUCCEEDED = "succeeded"  # a record exists
    INVALID = "invalid"  # a record exists, and it says itself that it proves nothing; never ranked
    FAILED = "failed"  # the run's own fault; see the cause
    TIMED_OUT = "timed-out"  # past its deadline, or its attempt past the wall-clock cap
    CANCELLED = "cancelled"
    LOST = "lost"  # infrastructure failed it as often as is allowed
    QUARANTINED = "quarantined"  # followers were lost under it as often as is allowed: it may be what kills them

    @property
    def is_terminal(self) -> bool:
        return self in TERMINAL

    @property
    def is_leased(self) -> bool:
        return self in {RunState.CLAIMED, RunState.RUNNING}

    @property
    def has_record(self) -> bool:
        return self in MEASURED


MEASURED: Final = frozenset({RunState.SUCCEEDED, RunState.INVALID})
UNSUCCESSFUL: Final = frozenset({RunState.FAILED, RunState.TIMED_OUT, RunState.LOST, RunState.QUARANTINED})
TERMINAL: Final = MEASURED | UNSUCCESSFUL | {RunState.CANCELLED}
LIVE: Final = frozenset(RunState) - TERMINAL


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
    MEASUREMENT_INVALID = "measurement-invalid"
    # time's
    TIMED_OUT = "timed-out"  # the attempt outlived its wall-clock cap
    DEADLINE_PASSED = "deadline-passed"
    # infrastructure's: retried up to a bound
    LEASE_EXPIRED = "lease-expired"  # the follower went silent
    FOLLOWER_DIED = "follower-died"  # it was started anew, and had not been asked to stop
    FOLLOWER_STOPPED = "follower-stopped"  # somebody stopped it
    FOLLOWER_ERROR = "follower-error"
    DISK_FULL = "disk-full"
    # a person's
    CANCELLED_BY_USER = "cancelled-by-user"

    @property
    def is_infrastructure(self) -> bool:
        return self in MOST_FAILURES


LOSSES: Final = frozenset({Cause.LEASE_EXPIRED, Cause.FOLLOWER_DIED})
"""The follower was gone while it ran the attempt: perhaps because of it."""

MOST_LOSSES: Final = 3
"""With so many followers lost under it a run is quarantined."""

MOST_FAILURES: Final[Mapping[Cause, int]] = {
    Cause.LEASE_EXPIRED: MOST_LOSSES,
    Cause.FOLLOWER_DIED: MOST_LOSSES,
    Cause.FOLLOWER_STOPPED: 10,
    Cause.FOLLOWER_ERROR: 3,
    Cause.DISK_FULL: 3,
}
"""Infrastructure's causes, and the failure of each that ends a run. Stopping a follower says nothing about its run."""

FIRST_BACKOFF: Final = timedelta(seconds=2)
LONGEST_BACKOFF: Final = timedelta(seconds=60)

_TIME_IS_UP: Final = frozenset({Cause.TIMED_OUT, Cause.DEADLINE_PASSED})


class Lease(BaseModel):
    """Who may execute a run, and until when (the leader's clock)."""

    model_config = ConfigDict(frozen=True)

    follower: str
    incarnation: str
    slot: str
    expires_at: datetime


class RunStatus(BaseModel):
    """The part of a run that moves.

    ``attempt`` counts claims; ``fence`` grows with claim, requeue, cancel and expire. ``failures`` counts attempts that
    infrastructure failed, by cause; ``avoid`` names the followers that did, which get the run last, and not
    ``not_before``.
    """

    model_config = ConfigDict(frozen=True)

    state: RunState = RunState.QUEUED
    fence: int = 0
    attempt: int = 0
    failures: dict[Cause, int] = Field(default_factory=dict)
    avoid: tuple[str, ...] = ()
    not_before: datetime | None = None
    claimed_at: datetime | None = None  # by the last attempt
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


def claim(status: RunStatus, lease: Lease, now: datetime) -> RunStatus:
    """A follower takes a queued run: next attempt, new fence."""
    _require(status, "claim", RunState.QUEUED)
    return status.model_copy(
        update={
            "state": RunState.CLAIMED,
            "fence": status.fence + 1,
            "attempt": status.attempt + 1,
            "not_before": None,
            "claimed_at": now,
            "lease": lease,
            **_why(None, None),
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


def invalidate(status: RunStatus, detail: str) -> RunStatus:
    """The attempt delivered a record, under the current fence, that proves nothing: ``detail`` says why."""
    _require(status, "invalidate", RunState.CLAIMED, RunState.RUNNING)
    why = _why(Cause.MEASUREMENT_INVALID, detail)
    return status.model_copy(update={"state": RunState.INVALID, "lease": None, **why})


def fail(status: RunStatus, cause: Cause, detail: str, now: datetime, log_tail: str = "") -> RunStatus:
    """The attempt failed: final if it is the run's own fault or its time is up, otherwise requeued until the bound."""
    _require(status, "fail", RunState.CLAIMED, RunState.RUNNING)
    if cause.is_infrastructure:
        return requeue(status, cause, detail, now, log_tail)
    state = RunState.TIMED_OUT if cause in _TIME_IS_UP else RunState.FAILED
    return status.model_copy(update={"state": state, "lease": None, **_why(cause, detail, log_tail)})


def requeue(status: RunStatus, cause: Cause, detail: str, now: datetime, log_tail: str = "") -> RunStatus:
    """Infrastructure failed the attempt: back to the queue under a new fence, until a bound is hit.

    Each cause has its own bound, ``MOST_FAILURES``; followers lost under the run, however they were, count together.
    The next attempt waits for a back-off that doubles with every failure, and goes to another follower first.
    """
    _require(status, "requeue", RunState.CLAIMED, RunState.RUNNING)
    failures = {**status.failures, cause: status.failures.get(cause, 0) + 1}
    follower = status.lease.follower if status.lease else None
    moved = status.model_copy(
        update={
            "state": RunState.QUEUED,
            "fence": status.fence + 1,
            "lease": None,
            "failures": failures,
            "avoid": tuple(dict.fromkeys((*status.avoid, *([follower] if follower else ())))),
            "not_before": now + backoff(sum(failures.values())),
            **_why(cause, detail, log_tail),
        }
    )
    return _bounded(moved, cause)


def _bounded(status: RunStatus, cause: Cause) -> RunStatus:
    """As it is, or ended: quarantined by lost followers, lost by anything else."""
    losses = sum(status.failures.get(loss, 0) for loss in LOSSES)
    if cause in LOSSES and losses >= MOST_LOSSES:
        failed_on = ", ".join(status.avoid)
        times = f"{losses} times the follower was lost under it"
        detail = f"{times}; it failed on {failed_on}; the last time: {status.detail}"
        return status.model_copy(update={"state": RunState.QUARANTINED, "not_before": None, "detail": detail})
    if status.failures.get(cause, 0) >= MOST_FAILURES[cause]:
        return status.model_copy(update={"state": RunState.LOST, "not_before": None})
    return status


def backoff(failures: int) -> timedelta:
    """Before the next attempt, after so many: 2 s, 4 s, 8 s ... one minute at most."""
    doublings = min(max(failures - 1, 0), 10)
    return min(LONGEST_BACKOFF, FIRST_BACKOFF * (1 << doublings))


def cancel(status: RunStatus) -> RunStatus:
    """Final at once: the fence grows, so nothing that the attempt still sends is accepted."""
    return _end_at_once(status, "cancel", RunState.CANCELLED, Cause.CANCELLED_BY_USER, None)


def expire(status: RunStatus, cause: Cause, detail: str) -> RunStatus:
    """Its time is up, and as final as a cancel: ``deadline-passed``, or ``timed-out`` where no follower said so."""
    return _end_at_once(status, "expire", RunState.TIMED_OUT, cause, detail)


def _end_at_once(status: RunStatus, move: str, state: RunState, cause: Cause, detail: str | None) -> RunStatus:
    _require(status, move, RunState.QUEUED, RunState.CLAIMED, RunState.RUNNING)
    ended = {"state": state, "fence": status.fence + 1, "lease": None, "not_before": None}
    return status.model_copy(update={**ended, **_why(cause, detail)})


def _why(cause: Cause | None, detail: str | None, log_tail: str = "") -> dict[str, object]:
    return {"cause": cause, "detail": detail, "log_tail": log_tail or None}
