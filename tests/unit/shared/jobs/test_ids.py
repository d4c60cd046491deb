"""Ids of jobs and runs."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from shared.jobs.ids import is_job_id, is_run_id, job_of, new_job_id, run_id

NOW = datetime(2026, 11, 22, 6, 45, 12, 345_678, tzinfo=UTC)
ZEROS = bytes(10)


def test_the_id_of_known_time_and_bytes_is_known() -> None:
    """The published example of the ULID specification: 1469918176385 ms are 01ARYZ6S41."""
    at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=1_469_918_176_385)
    assert new_job_id(at, ZEROS) == "j-01aryz6s410000000000000000"
    assert new_job_id(at, b"\xff" * 10) == "j-01aryz6s41zzzzzzzzzzzzzzzz"


def test_ids_sort_by_time() -> None:
    """A later job has a later id, whatever its random part."""
    assert new_job_id(NOW, b"\xff" * 10) < new_job_id(NOW + timedelta(milliseconds=1), ZEROS)


def test_the_same_instant_in_another_zone_is_the_same_id() -> None:
    """The id counts from an instant, not from what a clock on a wall shows."""
    there = NOW.astimezone(timezone(timedelta(hours=5)))
    assert new_job_id(NOW, ZEROS) == new_job_id(there, ZEROS)


@pytest.mark.parametrize(
    ("now", "randomness"), [(NOW, bytes(9)), (NOW, bytes(11)), (datetime(1969, 1, 1, tzinfo=UTC), ZEROS)]
)
def test_what_makes_no_id_is_refused(now: datetime, randomness: bytes) -> None:
    """Too few random bytes would make ids that can be guessed or collide."""
    with pytest.raises(ValueError, match="random bytes"):
        new_job_id(now, randomness)


def test_a_run_names_its_job_and_runs_sort_by_index() -> None:
    """A run's id is its job's id and its index."""
    job = new_job_id(NOW, ZEROS)
    assert run_id(job, 7) == f"{job}.0007"
    assert job_of(run_id(job, 7)) == job
    assert run_id(job, 9) < run_id(job, 10) < run_id(job, 999)


def test_only_ids_are_taken_for_ids() -> None:
    """Anything else need not be looked up, and cannot be smuggled into a query or a path."""
    job = new_job_id(NOW, b"\xa5" * 10)
    assert is_job_id(job)
    assert is_run_id(run_id(job, 12))
    for text in ("", job.upper(), job[:-1], job + "0", f"{job}\n", "j-" + "u" * 26, "../" + job, run_id(job, 1)):
        assert not is_job_id(text)
    for text in (job, f"{job}.1", f"{job}.00x1", f"{job}.0001/..", f"{job}.0001\n"):
        assert not is_run_id(text)
