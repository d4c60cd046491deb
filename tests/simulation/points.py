"""Names for the points at which a program can die: each store write, ring, instruction and disk write, by phase.

A point's name does not depend on when it is reached: ``delivering: runs.update_one running -> succeeded`` is the same
point in every story. Its number is its place in one story.
"""

import sys
from dataclasses import dataclass, field
from types import FrameType
from typing import Any, Final, Literal

from follower.agent.events import Instruction, WaitUntil
from leader.perfdb import schema
from simulation.documents import Document

Actor = Literal["leader", "follower"]

PHASES: Final = (
    ("Desk.start", "starting"),
    ("Followers._void_older", "requeueing (a new incarnation voids the lease)"),
    ("Followers.register", "registering"),
    ("Followers.heartbeat", "heartbeat"),
    ("Followers.cordon", "administering"),
    ("Scheduling.put", "administering"),
    ("Reaper._take_back", "reaping"),
    ("Reaper._end", "expiry"),
    ("Searcher.", "search step"),
    ("Submissions.submit", "submitting"),
    ("Submissions.cancel_", "cancelling"),
    ("Delivery.store_artifact", "artifact upload"),
    ("Delivery._keep", "delivering (evidence)"),
    ("Recorder.record", "delivering (record)"),
    ("Queue.deliver", "delivering"),
    ("Lineup.bind", "queued (binding)"),
    ("Queue.claim", "queued (claiming)"),
    ("Queue.renew", "running (renewal)"),
    ("Queue.progress", "running (progress)"),
    ("Reconciler.", "reconciling"),
    ("Presence.", "sign of life"),
    ("Outbox.", "announcing"),
    ("Reaper.", "reaping"),
)
"""A method of the leader -> the phase of what is done below it. The first that is on the way counts."""

_STORES: Final = ("leader.perfdb.mongo", "model_repo.gridfs")
_MOST_FRAMES: Final = 80


@dataclass(slots=True)
class Point:
    """Where an actor can die. ``who``: which leader process or host. ``store_method``: whose write it is."""

    actor: Actor
    number: int
    who: str
    at_s: float
    what: str
    store_method: str = ""
    changes: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        return " ".join([self.what, *dict.fromkeys(self.changes)])


def phase_of(caller: str) -> str:
    """The phase that a chain of the leader's methods is in."""
    phase = next((phase for method, phase in PHASES if method in caller), f"elsewhere ({caller})")
    return f"reconciling, {phase}" if "Reconciler.run_once" in caller and phase != "reconciling" else phase


def store_method() -> str:
    """The store's method that asked for the write which is under way."""
    frame: FrameType | None = sys._getframe(1)
    for _ in range(_MOST_FRAMES):
        if frame is None:
            break
        if frame.f_globals.get("__name__", "").startswith(_STORES):
            return frame.f_code.co_qualname
        frame = frame.f_back
    return ""


def change_told(collection: str, before: Document | None, after: Document | None) -> str:
    """What a write did to a run, in a few words; "" where that is no move."""
    if collection != schema.RUNS or after is None:
        return ""
    if before is None:
        return f"-> {after['status']['state']}"
    if before["status"]["state"] == after["status"]["state"]:
        return ""
    return f"{before['status']['state']} -> {after['status']['state']}"


def instruction_told(instruction: Instruction) -> str | None:
    """The name of a point at which an agent does something; None where it only waits."""
    return None if isinstance(instruction, WaitUntil) else f"agent: {type(instruction).__name__}"


def disk_told(place: str, *, is_removal: bool) -> str:
    """The name of a write to a follower's disk."""
    return f"disk: {'remove' if is_removal else 'write'} {place.rpartition('/')[2]}"


def as_any(value: object) -> Any:
    """For what stands in for something else."""
    return value
