"""When a run is taken back: where its lease is the very one that was seen to stand for too long."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from leader.manage.policy import LeasePolicy
from leader.manage.reaper import overdue
from leader.perfdb.entities import HeldLease, Run
from shared.jobs import lifecycle
from shared.jobs.lifecycle import Cause, Lease, RunState, RunStatus

T0 = datetime(2026, 3, 1, tzinfo=UTC)
END = T0 + timedelta(seconds=15)
SEEN = HeldLease(run_id="r", fence=1, expires_at=END)


def leased() -> Run:
    """Claimed at T0 for 15 s."""
    lease = Lease(follower="f1", incarnation="i", slot="s", expires_at=END)
    return Run(
        id="r", job_id="j", name="n", team="t", owner="o", index=0, repeat=0, point={}, spec={}, predicted_s=1,
        comparability_key="k", status=lifecycle.claim(RunStatus(), lease, T0), created_at=T0, updated_at=T0,
    )  # fmt: skip


def test_a_run_is_taken_back_under_a_new_fence() -> None:
    """Whatever it still sends is refused from then on."""
    move = overdue(leased(), SEEN, T0)
    assert move is not None
    assert (move.status.state, move.status.cause) == (RunState.QUEUED, Cause.LEASE_EXPIRED)
    assert move.status.fence == leased().status.fence + 1


@pytest.mark.parametrize(
    "seen", [replace(SEEN, expires_at=END - timedelta(microseconds=1)), replace(SEEN, fence=0)], ids=["renewed", "new"]
)
def test_a_run_whose_lease_is_another_by_now_is_left(seen: HeldLease) -> None:
    """It was renewed, or claimed anew, since it was looked at."""
    assert overdue(leased(), seen, T0 + timedelta(days=9)) is None


def test_a_run_that_nobody_holds_is_left() -> None:
    """However long ago."""
    assert overdue(replace(leased(), status=RunStatus()), SEEN, T0 + timedelta(days=9)) is None


def test_the_follower_stops_before_the_leader_gives_the_run_away() -> None:
    """The default times: it stops 3 s before the lease ends, the leader waits 3 s longer than it."""
    policy = LeasePolicy()
    stops_at = policy.lease - timedelta(seconds=3)
    assert stops_at < policy.lease + policy.grace
    assert policy.heartbeat_s * 3 == policy.lease.total_seconds()
