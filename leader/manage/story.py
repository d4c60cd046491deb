"""The leader's own events, and what can be read back from them. Pure.

They are stored in the run, in the same write as the move that they tell of, so none is ever missing; therefore they
also settle what a late or repeated result is answered.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from leader.perfdb.entities import TERMINAL_EVENT_N, Event, Origin, Run
from shared.jobs.lifecycle import RunState, RunStatus
from shared.wire.assignment import ResultAnswer

QUEUED, CLAIMED, REQUEUED, REUSED = "queued", "claimed", "requeued", "reused"


def queued_event(run_id: str, at: datetime) -> Event:
    """The first event of every run."""
    return Event(run_id=run_id, fence=0, n=0, at=at, kind=QUEUED, message="waiting for a follower")


def reused_event(run_id: str, origin: Origin, at: datetime) -> Event:
    """The only event of a run that is not run, because another run's record is its own."""
    message = f"reused from run {origin.run_id}, measured {origin.measured_at:%Y-%m-%d %H:%M} UTC on {origin.follower}"
    data = {
        "attempt": 0,
        "state": RunState.SUCCEEDED.value,
        "origin": origin.run_id,
        "follower": origin.follower,
        "measured_at": origin.measured_at.isoformat(),
    }
    return Event(
        run_id=run_id,
        fence=0,
        n=TERMINAL_EVENT_N,
        at=at,
        kind=REUSED,
        message=f"{message}; nothing was run",
        data=data,
    )


def event_of(run: Run, status: RunStatus, at: datetime, **data: Any) -> Event | None:
    """What a move from ``run``'s status to ``status`` is told as; None where it is no news (a renewal, a start)."""
    kind, message = _told(run.status, status)
    if not kind:
        return None
    facts = {"attempt": status.attempt, "state": status.state.value, **data}
    if status.cause is not None:
        facts["cause"] = status.cause.value
    n = TERMINAL_EVENT_N if status.state.is_terminal else 0
    return Event(run_id=run.id, fence=status.fence, n=n, at=at, kind=kind, message=message, data=facts)


def _told(before: RunStatus, after: RunStatus) -> tuple[str, str]:
    """Kind and message; an empty kind is no news."""
    if after.state is RunState.CLAIMED and before.state is RunState.QUEUED:
        return CLAIMED, f"attempt {after.attempt} on {after.lease.follower if after.lease else '?'}"
    if after.state is RunState.QUEUED and before.state.is_leased:
        return REQUEUED, f"{after.cause}: {after.detail}"
    return (after.state.value, _ending(after)) if after.state.is_terminal else ("", "")


def _ending(status: RunStatus) -> str:
    if status.cause is None:
        return status.state.value
    return f"{status.cause}: {status.detail}" if status.detail else status.cause.value


def was_granted(run: Run, follower: str, incarnation: str, attempt: int, fence: int) -> bool:
    """Whether this attempt was once given to this follower under this fence."""
    given = {"attempt": attempt, "follower": follower, "incarnation": incarnation}
    return any(
        event.kind == CLAIMED and event.fence == fence and given.items() <= event.data.items() for event in run.history
    )


def claimed_at(run: Run) -> datetime:
    """When the last attempt began; runs of older versions have it in their history only."""
    told = max((event.at for event in run.history if event.kind == CLAIMED), default=run.updated_at)
    return run.status.claimed_at or told


def hardware_of(run: Run) -> str:
    """The hardware of the run's last attempt, as noted when it was claimed."""
    claims = [event for event in run.history if event.kind == CLAIMED]
    return str(claims[-1].data.get("hardware", "unknown")) if claims else "unknown"


def point_of(run: Run) -> str | None:
    """The point key of the run's last attempt, as noted when it was claimed; None where nothing may reuse it."""
    claims = [event for event in run.history if event.kind == CLAIMED]
    return claims[-1].data.get("point_key") if claims else None


def answer_given(run: Run, attempt: int) -> ResultAnswer | None:
    """What the attempt's result was answered, if it ended the attempt."""
    for event in run.history:
        if event.data.get("delivered") == attempt:
            return ResultAnswer(accepted=True, state=str(event.data["state"]))
    return None


def merged(run: Run, progress: Sequence[Event], after: tuple[int, int], *, truncated: bool) -> list[Event]:
    """Leader's and follower's events behind ``after``, in order, as far as they are known without a gap.

    ``progress`` was read after ``run``: what it says of a later fence must wait until the run is read again, and
    where it was ``truncated``, nothing behind its last event may be told yet.
    """
    known = [event for event in progress if event.fence <= run.status.fence]
    own = [event for event in run.history if event.position > after]
    if truncated and known:
        own = [event for event in own if event.position < known[-1].position]
    return sorted([*own, *known], key=lambda event: event.position)
