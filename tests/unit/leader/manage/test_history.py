"""From what ended runs took to a trace. No store."""

from dataclasses import replace
from datetime import timedelta

from support.stored_runs import T0

from leader.manage.history import traced
from leader.perfdb.entities import Spent
from shared.scheduling.setup_times import Served
from shared.scheduling.stream_file import TracedRun

ENTRY = Spent(
    run_id="j-1.0000", team="vision", follower="f1", served=Served("onnxruntime", "m", "m"), occupied_s=30.0,
    last_s=20.0, predicted_s=25.0, predicted_p90_s=None, submitted_at=T0, device="cuda",
    ended_at=T0 + timedelta(seconds=100),
)  # fmt: skip


def test_a_run_is_a_line_with_what_all_its_attempts_took() -> None:
    """It arrived when it was submitted, and what was predicted then goes with it."""
    runs, left_out = traced([ENTRY])
    at_s = T0.timestamp()
    assert runs == [
        TracedRun(arrival_s=at_s, duration_s=30.0, team="vision", device="cuda", predicted_s=25.0, ended_s=at_s + 100.0)
    ]
    assert left_out == 0


def test_lines_come_in_the_order_of_submission() -> None:
    """Not in that of the ends, in which the ledger learns of them."""
    later = replace(ENTRY, submitted_at=T0 + timedelta(seconds=5), ended_at=T0 + timedelta(seconds=50))
    assert [run.arrival_s - T0.timestamp() for run in traced([later, ENTRY])[0]] == [0.0, 5.0]


def test_an_older_entry_is_counted_and_left_out() -> None:
    """It does not say when it was submitted, or what it took."""
    older = [replace(ENTRY, submitted_at=None), replace(ENTRY, device=None)]
    assert traced([*older, ENTRY]) == (traced([ENTRY])[0], 2)


def test_a_run_that_took_no_time_is_no_line() -> None:
    """Cancelled at the moment of its claim; nor one whose end was stamped before its submit by another clock."""
    assert traced([replace(ENTRY, occupied_s=0.0), replace(ENTRY, ended_at=T0)]) == ([], 0)
