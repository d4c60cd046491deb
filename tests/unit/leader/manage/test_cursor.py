"""Which jobs are to be announced, whatever the leaders' clocks say."""

from collections.abc import Iterable
from datetime import datetime, timedelta

import pytest
from support.clocks import FakeClock

from leader.manage.cursor import FIRST_REACH, MOST_LOOKS, OVERLAP, Cursor
from leader.perfdb.entities import AcceptedJob
from shared.jobs import ids

NOW = FakeClock().now


def accepted(at: datetime, number: int = 1, runs: int = 1) -> AcceptedJob:
    """A job that a leader accepted when its own clock said ``at``."""
    return AcceptedJob(id=ids.new_job_id(at, number.to_bytes(ids.RANDOM_BYTES, "big")), run_count=runs)


def before(seconds: float) -> datetime:
    """So long ago."""
    return NOW - timedelta(seconds=seconds)


def round_of(cursor: Cursor, stored: Iterable[AcceptedJob], at: datetime) -> list[AcceptedJob]:
    """A whole round at ``at`` in which every due job is announced; what was due."""
    due = cursor.due([job for job in stored if job.id > cursor.after])
    for job in due:
        cursor.announced(job)
    cursor.end_round(at)
    return due


def test_a_leader_begins_a_minute_back() -> None:
    """What the one before it accepted last is announced; what is older is not."""
    stored = [accepted(before(FIRST_REACH.total_seconds() + 1)), accepted(before(59)), accepted(before(1))]
    assert round_of(Cursor(NOW), stored, NOW) == stored[1:]


def test_a_job_is_announced_once() -> None:
    """Also while later rounds still read it."""
    cursor, stored = Cursor(NOW), [accepted(before(5))]
    assert round_of(cursor, stored, NOW) == stored
    for seconds in range(1, 20):
        assert round_of(cursor, stored, NOW + timedelta(seconds=seconds)) == []
    stored.append(accepted(NOW + timedelta(seconds=19.5)))
    assert round_of(cursor, stored, NOW + timedelta(seconds=20)) == stored[1:]


@pytest.mark.parametrize("ahead_s", [-8.0, -3.0, 0.0, 3.0, 3600.0])
def test_jobs_of_a_leader_whose_clock_disagrees_are_announced_once(ahead_s: float) -> None:
    """One job in each second of another leader whose clock is behind by up to the overlap, or ahead by anything."""
    cursor, stored, seen = Cursor(NOW), [], []
    for second in range(30):
        now = NOW + timedelta(seconds=second)
        stored.append(accepted(now + timedelta(seconds=ahead_s), number=second))
        due = round_of(cursor, stored, now + timedelta(seconds=0.5))
        assert due == stored[-1:]
        seen += due
    assert seen == stored


def test_what_another_leader_stores_seconds_after_it_named_it_is_announced() -> None:
    """The id says when the submit began; the write took four seconds, and our rounds went on."""
    cursor, slow = Cursor(NOW), accepted(NOW)
    for second in range(4):
        assert round_of(cursor, [], NOW + timedelta(seconds=second)) == []
    assert round_of(cursor, [slow], NOW + timedelta(seconds=4)) == [slow]


def test_an_outage_leaves_no_gap() -> None:
    """No round ended for ten minutes: the next reads on from the last that did."""
    cursor, stored = Cursor(NOW), [accepted(NOW + timedelta(seconds=second), second) for second in range(600)]
    cursor.end_round(NOW)
    assert cursor.due([job for job in stored if job.id > cursor.after]) == stored


def test_a_round_that_was_cut_off_is_done_again() -> None:
    """Due but not announced: due once more."""
    cursor, job = Cursor(NOW), accepted(NOW)
    assert cursor.due([job]) == cursor.due([job]) == [job]


def test_a_clock_that_is_set_back_is_followed_back() -> None:
    """An hour: jobs that were accepted by the clock as it is now are read."""
    cursor, back = Cursor(NOW), NOW - timedelta(hours=1)
    round_of(cursor, [], NOW)
    round_of(cursor, [], back)
    job = accepted(back + timedelta(seconds=1))
    assert round_of(cursor, [job], back + timedelta(seconds=2)) == [job]


def test_what_this_leader_announces_itself_is_never_due() -> None:
    """Neither while it is being stored nor afterwards."""
    cursor, job = Cursor(NOW), accepted(NOW)
    with cursor.announcing(job):
        assert cursor.due([job]) == []
    assert cursor.due([job]) == []


def test_a_submit_that_fails_after_storing_is_due_at_once_however_long_it_took() -> None:
    """The job was stored, its runs were not, and the overlap is over."""
    cursor, job = Cursor(NOW), accepted(NOW)

    def submit_and_fail() -> None:
        with cursor.announcing(job):
            round_of(cursor, [job], NOW + 3 * OVERLAP)
            raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        submit_and_fail()
    assert round_of(cursor, [], NOW + 3 * OVERLAP) == [job]
    assert round_of(cursor, [], NOW + 3 * OVERLAP) == []


def test_a_job_that_lacks_runs_is_looked_at_again_ever_more_seldom() -> None:
    """After 1, 2, 4, ... rounds, though no round reads it any more; in the end it is left to the reconciler."""
    cursor, job = Cursor(NOW), accepted(NOW, runs=3)
    rounds = []
    for number in range(2**MOST_LOOKS):
        for due in cursor.due([job] if number < 5 else []):
            cursor.came_short(due)
            rounds.append(number)
        cursor.end_round(NOW + timedelta(seconds=number))
    assert rounds == [0, 1, 3, 7, 15, 31, 63, 127, 255]


def test_a_job_whose_runs_come_late_is_announced_once() -> None:
    """When they are there, and not again."""
    cursor, job = Cursor(NOW), accepted(NOW, runs=3)
    cursor.due([job])
    cursor.came_short(job)
    cursor.end_round(NOW)
    assert round_of(cursor, [job], NOW) == [job]
    assert round_of(cursor, [job], NOW) == []


def test_what_lies_behind_is_forgotten() -> None:
    """A leader that runs for months remembers only jobs that a round may still read."""
    cursor = Cursor(NOW)
    for second in range(1000):
        now = NOW + timedelta(seconds=second)
        round_of(cursor, [accepted(now)], now)
    assert len(cursor._announced) <= OVERLAP.total_seconds() + 1
