"""When a run is taken back: a pure decision at every moment of a lease."""

from datetime import UTC, datetime, timedelta

import pytest

from leader.manage.policy import LeasePolicy
from leader.manage.reaper import overdue
from leader.perfdb.entities import Run
from shared.jobs import lifecycle
from shared.jobs.lifecycle import Cause, Lease, RunState, RunStatus

T0 = datetime(2026, 3, 1, tzinfo=UTC)
LEASE_S, GRACE_S = 15, 3


def leased() -> Run:
    """Claimed at T0 for 15 s."""
    lease = Lease(follower="f1", incarnation="i", slot="s", expires_at=T0 + timedelta(seconds=LEASE_S))
    return Run(
        id="r", job_id="j", name="n", team="t", owner="o", index=0, repeat=0, point={}, spec={}, predicted_s=1,
        comparability_key="k", status=lifecycle.claim(RunStatus(), lease, T0), created_at=T0, updated_at=T0,
    )  # fmt: skip


@pytest.mark.parametrize(("after_s", "taken"), [(0, False), (15, False), (17.9, False), (18, False), (18.001, True)])
def test_a_run_is_taken_back_after_lease_and_grace(after_s: float, taken: bool) -> None:
    """Not earlier: until then its follower may still be stopping."""
    move = overdue(leased(), T0 + timedelta(seconds=after_s), timedelta(seconds=GRACE_S))
    assert (move is not None) == taken
    if move is not None:
        assert (move.status.state, move.status.cause) == (RunState.QUEUED, Cause.LEASE_EXPIRED)
        assert move.status.fence == leased().status.fence + 1


def test_a_run_that_nobody_holds_is_left() -> None:
    """However long ago."""
    queued = Run(**{**leased().__dict__, "status": RunStatus()})
    assert overdue(queued, T0 + timedelta(days=9), timedelta(0)) is None


def test_the_follower_stops_before_the_leader_gives_the_run_away() -> None:
    """The default times: it stops 3 s before the lease ends, the leader waits 3 s longer than it."""
    policy = LeasePolicy()
    stops_at = policy.lease - timedelta(seconds=3)
    assert stops_at < policy.lease + policy.grace
    assert policy.heartbeat_s * 3 == policy.lease.total_seconds()
