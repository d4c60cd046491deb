"""Followers' wall clocks: how far they are off, and what is made of their stamps."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from support.stored_records import record
from support.stored_runs import T0, run

from leader.manage.clocks import in_words, is_off, offset_s, on_our_clock
from leader.manage.ledger import spent_by
from leader.manage.recorder import derive
from leader.manage.story import event_of
from leader.perfdb.entities import Event, Evidence
from shared.jobs import lifecycle
from shared.jobs.lifecycle import Lease
from shared.wire.assignment import Result, Success

DAY_S = 86_400.0
SPEC = {
    "model": {"generate": {"family": "fc", "layers": 1, "width": 8}},
    "workload": {"pattern": "closed", "warmup": "2s", "duration": "90s"},
}
CLAIMED, BEGAN, FINISHED = (T0 + timedelta(seconds=s) for s in (10, 20, 115))


def test_the_offset_is_ours_minus_theirs() -> None:
    """Whatever time zone they write it in; a follower that does not tell has none."""
    assert offset_s(T0 - timedelta(seconds=90), T0) == 90.0
    assert offset_s((T0 + timedelta(days=1)).astimezone(timezone(timedelta(hours=5))), T0) == -DAY_S
    assert offset_s(None, T0) is None


@pytest.mark.parametrize(
    ("offset", "off"), [(None, False), (0.0, False), (5.0, False), (-5.0, False), (5.1, True), (-DAY_S, True)]
)
def test_a_clock_is_off_by_more_than_five_seconds(offset: float | None, *, off: bool) -> None:
    """Less than that a slow answer may be."""
    assert is_off(offset) == off


@pytest.mark.parametrize("offset", [None, 0.0, 4.9, -4.9])
def test_a_right_clocks_stamps_stay(offset: float | None) -> None:
    """To the microsecond."""
    assert on_our_clock(T0, offset) == T0


def test_a_wrong_clocks_stamps_are_set_right() -> None:
    """A day behind or ahead; what would leave the calendar stays."""
    assert on_our_clock(T0 - timedelta(days=1), DAY_S) == T0
    assert on_our_clock(T0 + timedelta(days=1), -DAY_S) == T0
    beyond = datetime(9999, 12, 31, tzinfo=UTC)
    assert on_our_clock(beyond, DAY_S * 365) == beyond


def test_an_offset_in_words() -> None:
    """A clock that shows less than ours is behind."""
    assert (in_words(DAY_S), in_words(-7.4)) == ("86400 s behind", "7 s ahead")


def evidence(follower_ahead_s: float, offset: float | None) -> Evidence:
    """A success whose stamps are by a clock that is ahead, and how the leader knew that clock to stand."""
    ahead = timedelta(seconds=follower_ahead_s)
    measured = record(run().id, started_at=CLAIMED + ahead, finished_at=FINISHED + ahead, notes=("n",))
    result = Result(incarnation="i-1", attempt=1, fence=1, outcome=Success(record=measured))
    return Evidence(
        run_id=run().id, attempt=1, fence=1, follower="f1", sha256="1", result=result, received_at=FINISHED,
        clock_offset_s=offset,
    )  # fmt: skip


@pytest.mark.parametrize("ahead_s", [DAY_S, -DAY_S, 30.0, -30.0])
def test_record_leaderboard_and_task_have_the_leaders_time(ahead_s: float) -> None:
    """Wherever a stamp of the follower's is stored; the record says that it was set right."""
    stored = derive(run(spec=SPEC), evidence(ahead_s, -ahead_s))
    assert (stored.record.started_at, stored.record.finished_at) == (CLAIMED, FINISHED)
    assert stored.entry.created_at == stored.task.last_at == FINISHED
    assert stored.record.notes[0] == "n"
    assert f"{abs(ahead_s):.0f} s {'ahead' if ahead_s > 0 else 'behind'}" in stored.record.notes[1]


@pytest.mark.parametrize("offset", [None, 0.3])
def test_a_record_of_a_right_clock_is_left_as_it_is(offset: float | None) -> None:
    """So is one of a follower that does not tell the time, late as it may arrive."""
    stored = derive(run(spec=SPEC), evidence(0.0, offset))
    assert (stored.record.started_at, stored.record.finished_at) == (CLAIMED, FINISHED)
    assert stored.record.notes == ("n",)


@pytest.mark.parametrize(("ahead_s", "offset"), [(0.0, 0.1), (DAY_S, -DAY_S), (-DAY_S, DAY_S)])
def test_what_set_up_took_is_known_on_any_clock(ahead_s: float, offset: float) -> None:
    """The story's stamps are set right when they come, the record's when they are read: claim to load was 10 s."""
    queued = run(spec=SPEC)
    lease = Lease(follower="f1", incarnation="i-1", slot="cpu-0", expires_at=T0)
    claimed = lifecycle.claim(queued.status, lease, CLAIMED)
    ended = lifecycle.succeed(claimed)
    history = tuple(
        event for status, at in ((claimed, CLAIMED), (ended, FINISHED)) if (event := event_of(queued, status, at))
    )
    over = run(spec=SPEC, status=ended, history=(*queued.history, *history), follower="f1")
    told_at = on_our_clock(BEGAN + timedelta(seconds=ahead_s), offset)
    story = [Event(run_id=over.id, fence=1, n=3, at=told_at, kind="warming-up", message="")]
    spent = spent_by(over, evidence(ahead_s, offset), story)
    assert spent is not None
    assert spent.setup_s == pytest.approx(10.0)
    assert spent.last_s == 105.0
