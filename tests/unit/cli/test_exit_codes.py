"""Which exit code a finished job deserves."""

import pytest
from support.records import record, run_view

from cli.exits import ExitCode, exit_code_of
from shared.errors import InferBenchError
from shared.jobs.lifecycle import RunState
from shared.measure.record import Record, SloCheck, Validity

UNMET = record(slo=(SloCheck(limit="p99_ms", allowed=1, measured=2, met=False),))
INVALID = record(validity=Validity(verdict="invalid", reasons=("the sender was late",)))
MARKED = record(validity=Validity(verdict="marked", reasons=("busy host",)))


@pytest.mark.parametrize(
    ("states", "records", "expected"),
    [
        ([RunState.SUCCEEDED], [record()], 0),
        ([RunState.SUCCEEDED], [record(slo=())], 0),
        ([RunState.SUCCEEDED], [MARKED], 0),
        ([RunState.SUCCEEDED], [UNMET], 3),
        ([RunState.SUCCEEDED], [INVALID], 3),
        ([RunState.SUCCEEDED, RunState.FAILED], [UNMET], 1),
        ([RunState.LOST], [], 1),
        ([RunState.FAILED, RunState.CANCELLED], [], 130),
    ],
)
def test_the_gravest_end_counts(states: list[RunState], records: list[Record], expected: int) -> None:
    """A cancel, then a failure, then a result that does not show what was asked for."""
    assert exit_code_of([run_view(n, state) for n, state in enumerate(states)], records) == expected


def test_errors_use_only_documented_codes() -> None:
    """Every leaf of the error tree ends the command line with a code that the enum lists."""
    leaves, found = [InferBenchError], set()
    while leaves:
        leaf = leaves.pop()
        found.add(leaf.exit_code)
        leaves += leaf.__subclasses__()
    assert found <= set(ExitCode)
