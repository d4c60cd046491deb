"""The state of a job, from the states of its runs."""

from collections.abc import Mapping
from typing import Literal

from shared.jobs.lifecycle import TERMINAL, UNSUCCESSFUL, RunState

JobState = Literal["queued", "running", "succeeded", "invalid", "failed", "cancelled"]


def job_state(run_states: Mapping[RunState, int]) -> JobState:
    """One word for a job whose runs stand as counted.

    Until every run has ended the job is queued (none was ever taken) or running. Then the gravest end names it: a
    person's cancel before a failure before a measurement that proves nothing before success. A run that was lost, timed
    out or was quarantined is a failed one here.
    """
    states = {state for state, count in run_states.items() if count}
    if states <= {RunState.QUEUED}:
        return "queued"
    if states - TERMINAL:
        return "running"
    if RunState.CANCELLED in states:
        return "cancelled"
    if states & UNSUCCESSFUL:
        return "failed"
    return "invalid" if RunState.INVALID in states else "succeeded"
