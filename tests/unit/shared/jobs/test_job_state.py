"""One word for a job from the states of its runs."""

import pytest

from shared.jobs.lifecycle import RunState as S
from shared.jobs.state import job_state


@pytest.mark.parametrize(
    ("counts", "state"),
    [
        ({}, "queued"),
        ({S.QUEUED: 3}, "queued"),
        ({S.QUEUED: 3, S.SUCCEEDED: 0}, "queued"),
        ({S.QUEUED: 2, S.CLAIMED: 1}, "running"),
        ({S.RUNNING: 1, S.SUCCEEDED: 5}, "running"),
        ({S.QUEUED: 1, S.SUCCEEDED: 5}, "running"),
        ({S.QUEUED: 1, S.FAILED: 1}, "running"),
        ({S.SUCCEEDED: 5}, "succeeded"),
        ({S.SUCCEEDED: 4, S.FAILED: 1}, "failed"),
        ({S.SUCCEEDED: 4, S.LOST: 1}, "failed"),
        ({S.SUCCEEDED: 4, S.TIMED_OUT: 1}, "failed"),
        ({S.SUCCEEDED: 4, S.QUARANTINED: 1}, "failed"),
        ({S.SUCCEEDED: 4, S.INVALID: 1}, "invalid"),
        ({S.INVALID: 1, S.FAILED: 1}, "failed"),
        ({S.INVALID: 1, S.QUEUED: 1}, "running"),
        ({S.SUCCEEDED: 4, S.CANCELLED: 1}, "cancelled"),
        ({S.INVALID: 1, S.CANCELLED: 1}, "cancelled"),
        ({S.FAILED: 1, S.CANCELLED: 1, S.LOST: 1}, "cancelled"),
    ],
)
def test_the_state_of_a_job(counts: dict[S, int], state: str) -> None:
    """Queued until one run is taken, running until all have ended, then the gravest end."""
    assert job_state(counts) == state
