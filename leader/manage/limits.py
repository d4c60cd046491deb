"""When a run's time is up, whatever its follower says. Pure."""

from datetime import datetime, timedelta
from typing import Final

from leader.manage.moves import Move
from leader.perfdb.entities import Run
from shared.jobs.lifecycle import Cause, expire
from shared.jobs.spec import RunSpec
from shared.jobs.wall_cap import wall_cap_ns

CAP_GRACE: Final = timedelta(seconds=60)
"""How much later than the follower, which keeps the same cap, the leader ends an attempt that outlived it."""


def cap_of(run: Run) -> timedelta:
    """How long an attempt at the run may take."""
    pins = (run.model, run.dataset, run.trace)
    transfer_bytes = sum(pin.size_bytes for pin in pins if pin is not None)
    return timedelta(microseconds=wall_cap_ns(RunSpec.model_validate(run.spec), transfer_bytes) // 1000)


def outlived(run: Run, now: datetime, cap: timedelta, held: timedelta) -> Move | None:
    """The end of a run that is past its deadline, or whose attempt is past ``cap`` and the grace; else None.

    A deadline is a time of day, ``now`` by the leader's wall clock. A cap is a length of time: ``held`` is how long the
    attempt has been seen to hold the run (``leader.manage.vigil``), which no step of a wall clock makes longer.
    """
    if run.status.state.is_terminal:
        return None
    if run.deadline_at is not None and run.deadline_at <= now:
        how = f"in attempt {run.status.attempt}" if run.status.state.is_leased else "while it was queued"
        detail = f"its deadline, {run.deadline_at:%Y-%m-%d %H:%M:%S} UTC, passed {how}"
        return Move.to(expire(run.status, Cause.DEADLINE_PASSED, detail))
    if run.status.state.is_leased and held >= cap + CAP_GRACE:
        detail = f"attempt {run.status.attempt} on {run.follower} did not end within {cap.total_seconds():.0f} s"
        return Move.to(expire(run.status, Cause.TIMED_OUT, detail))
    return None
