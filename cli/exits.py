"""Exit codes, and which one a finished job deserves. Codes of errors stand at the errors: ``shared.errors``."""

from collections.abc import Sequence
from enum import IntEnum

from shared.jobs.lifecycle import UNSUCCESSFUL, RunState
from shared.measure.record import Record
from shared.wire.views import RunView


class ExitCode(IntEnum):
    """What a script may rely on."""

    OK = 0
    FAILURE = 1
    INVALID_INPUT = 2
    NOT_SHOWN = 3  # it ran, but the result does not show what was asked for: SLO missed, or measurement invalid
    AUTHENTICATION = 4
    NOT_FOUND = 5
    CANCELLED = 130


def exit_code_of(runs: Sequence[RunView], records: Sequence[Record]) -> ExitCode:
    """The gravest end of any run counts, as in a job's state: a cancel, a failure, a measurement that proves nothing.

    Then a missed SLO. A limit that the sample is too small to judge is not missed; the verdict says so in words.
    """
    states = {run.state for run in runs}
    if RunState.CANCELLED in states:
        return ExitCode.CANCELLED
    if states & UNSUCCESSFUL or any(run.no_record is not None for run in runs):
        return ExitCode.FAILURE
    is_invalid = RunState.INVALID in states or any(record.verdict.kind == "invalid" for record in records)
    if is_invalid or any(record.slo_met is False for record in records):
        return ExitCode.NOT_SHOWN
    return ExitCode.OK
