"""The life of a conversion that happens in the background: states and the moves between them, as pure functions.

    queued ──claim──> running ──succeed──> succeeded
      ^                  │ ├────refuse───> failed       (the model's own fault, or its time is up)
      ├──── give back ───┘ │
      └──── lose ──────────┘──────────────> failed       (the third converter that was lost under it)
    queued | running ──cancel──> cancelled

Each move returns the fields to set; the store applies them only where nothing has changed since they were decided on.
The fence grows with claim, give back, lose and cancel: what an older attempt still sends is recognised by it.
"""

from datetime import datetime
from enum import StrEnum
from typing import Final

from pydantic import BaseModel, ConfigDict


class ConversionState(StrEnum):
    """Where a conversion stands."""

    QUEUED = "queued"
    RUNNING = "running"  # a converter holds its lease
    SUCCEEDED = "succeeded"  # the new model is registered and ready
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_terminal(self) -> bool:
        return self in {ConversionState.SUCCEEDED, ConversionState.FAILED, ConversionState.CANCELLED}


MOST_LOSSES: Final = 3
"""With so many attempts lost a conversion has failed: it may be what kills its converters."""

NOBODY_YET: Final = "no converter has taken it yet"


class ConversionLease(BaseModel):
    """Who may carry out a conversion, and until when (the leader's clock)."""

    model_config = ConfigDict(frozen=True)

    converter: str
    incarnation: str
    expires_at: datetime


class ProducedModel(BaseModel):
    """The version that an attempt registered for its result; its bytes may still be on their way."""

    model_config = ConfigDict(frozen=True)

    name: str
    version: int
    sha256: str


class ConversionStatus(BaseModel):
    """The part of a conversion that moves.

    ``attempt`` counts claims, ``losses`` the attempts that were lost with their converter or by its fault; one that a
    converter gave back when it was stopped is no loss. ``waiting`` says what a live conversion waits for, ``cause``
    why it ended, or why it is queued again. ``finished_fence`` is that of the last attempt whose end was told.
    """

    model_config = ConfigDict(frozen=True)

    state: ConversionState = ConversionState.QUEUED
    fence: int = 0
    attempt: int = 0
    losses: int = 0
    lease: ConversionLease | None = None
    converter: str | None = None  # the last to hold it
    waiting: str | None = NOBODY_YET
    cause: str | None = None
    produced: ProducedModel | None = None  # by the attempt of this fence
    finished_fence: int | None = None


class IllegalConversionMove(ValueError):
    """The state does not allow the move."""

    def __init__(self, move: str, state: ConversionState) -> None:
        self.move, self.state = move, state
        super().__init__(f"a conversion that is {state} cannot be moved by {move!r}")


def _require(status: ConversionStatus, move: str, *allowed: ConversionState) -> None:
    if status.state not in allowed:
        raise IllegalConversionMove(move, status.state)


def claim(status: ConversionStatus, lease: ConversionLease) -> ConversionStatus:
    """A converter takes a queued one: next attempt, new fence."""
    _require(status, "claim", ConversionState.QUEUED)
    return status.model_copy(
        update={
            "state": ConversionState.RUNNING,
            "fence": status.fence + 1,
            "attempt": status.attempt + 1,
            "lease": lease,
            "converter": lease.converter,
            "waiting": None,
            "cause": None,
            "produced": None,
        }
    )


def renew(status: ConversionStatus, expires_at: datetime, waiting: str | None) -> ConversionStatus:
    """The holder of the lease is alive; ``waiting``: what it stands still for, if it does."""
    _require(status, "renew", ConversionState.RUNNING)
    lease = status.lease.model_copy(update={"expires_at": expires_at}) if status.lease else None
    return status.model_copy(update={"lease": lease, "waiting": waiting})


def note(status: ConversionStatus, waiting: str) -> ConversionStatus:
    """A converter that could take it says why it does not."""
    _require(status, "note", ConversionState.QUEUED)
    return status.model_copy(update={"waiting": waiting})


def announce(status: ConversionStatus, produced: ProducedModel) -> ConversionStatus:
    """The attempt has a result, for which this version is registered."""
    _require(status, "announce", ConversionState.RUNNING)
    return status.model_copy(update={"produced": produced})


def succeed(status: ConversionStatus) -> ConversionStatus:
    """What was announced is ready."""
    _require(status, "succeed", ConversionState.RUNNING)
    if status.produced is None:
        raise IllegalConversionMove("succeed", status.state)
    return _ended(
        status, ConversionState.SUCCEEDED, f"version {status.produced.version} of {status.produced.name} is ready"
    )


def refuse(status: ConversionStatus, cause: str) -> ConversionStatus:
    """The model cannot be converted; trying again would not help."""
    _require(status, "refuse", ConversionState.RUNNING)
    return _ended(status, ConversionState.FAILED, cause)


def give_back(status: ConversionStatus, cause: str) -> ConversionStatus:
    """The converter was told to stop: queued again at once, and nothing is held against the conversion."""
    _require(status, "give back", ConversionState.RUNNING)
    return _queued_again(status, cause)


def lose(status: ConversionStatus, cause: str) -> ConversionStatus:
    """The converter went silent, or its machine failed it: queued again, ``MOST_LOSSES`` times in all at most."""
    _require(status, "lose", ConversionState.RUNNING)
    lost = _queued_again(status, cause).model_copy(update={"losses": status.losses + 1})
    if lost.losses < MOST_LOSSES:
        return lost
    return _ended(lost, ConversionState.FAILED, f"{lost.losses} attempts were lost; the last one: {cause}")


def cancel(status: ConversionStatus, cause: str) -> ConversionStatus:
    """Final at once: the fence grows, so nothing that the attempt still sends is accepted."""
    _require(status, "cancel", ConversionState.QUEUED, ConversionState.RUNNING)
    ended = _ended(status, ConversionState.CANCELLED, cause)
    return ended.model_copy(update={"fence": status.fence + 1, "produced": None})


def finished(status: ConversionStatus) -> ConversionStatus:
    """As it is, and remembering that the attempt of its fence has told its end."""
    return status.model_copy(update={"finished_fence": status.fence})


def _queued_again(status: ConversionStatus, cause: str) -> ConversionStatus:
    back = {"state": ConversionState.QUEUED, "fence": status.fence + 1, "lease": None, "produced": None}
    return status.model_copy(update={**back, "waiting": f"another attempt, because {cause}", "cause": cause})


def _ended(status: ConversionStatus, state: ConversionState, cause: str) -> ConversionStatus:
    return status.model_copy(update={"state": state, "lease": None, "waiting": None, "cause": cause})
