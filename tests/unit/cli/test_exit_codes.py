"""Which exit code a finished job deserves."""

import pytest
from support.records import record, run_view

from cli.exits import ExitCode, exit_code_of
from shared.errors import InferBenchError
from shared.jobs.lifecycle import RunState
from shared.measure.record import Record, SloCheck, Verdict

UNMET = record(slo=(SloCheck(limit="p99_ms", allowed=1, measured=2, met=False),))
UNDECIDED = record(slo=(SloCheck(limit="p99_ms", allowed=1, measured=None, met=None, reason="too few"),))
INVALID = record(verdict=Verdict(kind="invalid", reasons=("no request of the window succeeded",)))
MARKED = record(verdict=Verdict(kind="stable", reasons=("busy host",)))
OVERLOADED = record(verdict=Verdict(kind="overloaded", reasons=("overloaded: …",), capacity_rps=50.0))


@pytest.mark.parametrize(
    ("states", "records", "expected"),
    [
        ([RunState.SUCCEEDED], [record()], 0),
        ([RunState.SUCCEEDED], [record(slo=())], 0),
        ([RunState.SUCCEEDED], [MARKED], 0),
        ([RunState.SUCCEEDED], [UNMET], 3),
        ([RunState.SUCCEEDED], [UNDECIDED], 0),
        ([RunState.SUCCEEDED], [OVERLOADED], 0),
        ([RunState.SUCCEEDED], [INVALID], 3),
        ([RunState.SUCCEEDED, RunState.SUCCEEDED], [UNDECIDED, UNMET], 3),
        ([RunState.SUCCEEDED, RunState.FAILED], [UNMET], 1),
        ([RunState.INVALID], [INVALID], 3),
        ([RunState.INVALID], [], 3),
        ([RunState.INVALID, RunState.FAILED], [INVALID], 1),
        ([RunState.LOST], [], 1),
        ([RunState.TIMED_OUT], [], 1),
        ([RunState.QUARANTINED, RunState.SUCCEEDED], [record()], 1),
        ([RunState.TIMED_OUT, RunState.CANCELLED], [], 130),
        ([RunState.FAILED, RunState.CANCELLED], [], 130),
    ],
)
def test_the_gravest_end_counts(states: list[RunState], records: list[Record], expected: int) -> None:
    """A cancel, then a failure, then a result that does not show what was asked for."""
    assert exit_code_of([run_view(n, state) for n, state in enumerate(states)], records) == expected


def test_a_run_whose_record_cannot_be_made_is_a_failure() -> None:
    """It was measured, but there is nothing to show for it."""
    runs = [run_view(0), run_view(1, no_record="attempt 1 has delivered nothing")]
    assert exit_code_of(runs, [record()]) is ExitCode.FAILURE


def test_errors_use_only_documented_codes() -> None:
    """Every leaf of the error tree ends the command line with a code that the enum lists."""
    leaves, found = [InferBenchError], set()
    while leaves:
        leaf = leaves.pop()
        found.add(leaf.exit_code)
        leaves += leaf.__subclasses__()
    assert found <= set(ExitCode)
