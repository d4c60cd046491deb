"""Who may speak for an attempt. Pure."""

from leader.manage.story import was_granted
from leader.perfdb.entities import Run
from shared.errors import StaleFence


def holds(run: Run, follower: str, incarnation: str | None, attempt: int, fence: int) -> bool:
    """Whether this attempt is the one that the run is leased to now."""
    lease = run.status.lease
    return (
        lease is not None
        and lease.follower == follower
        and incarnation in (None, lease.incarnation)
        and (run.status.attempt, run.status.fence) == (attempt, fence)
    )


def require_current(run: Run, follower: str, incarnation: str | None, attempt: int, fence: int) -> None:
    """Raises StaleFence where the attempt no longer holds the run, or never did."""
    if not holds(run, follower, incarnation, attempt, fence):
        raise StaleFence(
            f"attempt {attempt} (fence {fence}) of run {run.id} does not hold it:"
            f" it is {run.status.state}, attempt {run.status.attempt}, fence {run.status.fence}; stop this attempt"
        )


def require_granted(run: Run, follower: str, incarnation: str, attempt: int, fence: int) -> None:
    """Raises StaleFence where the attempt was never given to this follower, not even earlier."""
    if not was_granted(run, follower, incarnation, attempt, fence):
        raise StaleFence(
            f"attempt {attempt} (fence {fence}) of run {run.id} was never given to this incarnation of {follower!r}"
        )
