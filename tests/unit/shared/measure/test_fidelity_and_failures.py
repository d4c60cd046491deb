"""What was asked for against what was sent."""

import pytest
from support.samples import MS, ORIGIN_NS, Sent, answered, closed_plan, columns_of, failed, not_sent, open_plan

from shared.measure.columns import Columns
from shared.measure.failures import error_rate, errors_by_kind
from shared.measure.fidelity import completing_s, load_fidelity
from shared.measure.record import LoadFidelity
from shared.measure.windows import Window, completed_in, due_in, in_due_order, is_all_at_once, is_steady, window_of
from shared.workload.plan import Plan

PLAN = open_plan([0, 100, 200, 300, 400, 500], warmup_ms=200, duration_ms=400)
COLUMNS = columns_of(
    answered(0, 300),  # due in the warm-up, completed inside
    answered(100, 50),  # not of the window at all
    answered(200, 50, late=10),
    answered(300, 450),  # due inside, completed after
    failed(400, "timeout", after=100),
    not_sent(500),
)


def fidelity(columns: Columns, plan: Plan, max_in_flight: int) -> LoadFidelity:
    """Over the planned window."""
    return load_fidelity(columns, plan, ORIGIN_NS, window_of(plan, ORIGIN_NS), max_in_flight)


def test_a_request_belongs_to_the_window_in_which_it_is_due() -> None:
    """From the window's start inclusive to its end exclusive."""
    window = window_of(PLAN, ORIGIN_NS)
    assert len(due_in(COLUMNS, window)["due_ns"]) == 4
    edge = columns_of(answered(199.999, 1), answered(200, 1), answered(599.999, 1), answered(600, 1))
    assert len(due_in(edge, window)["due_ns"]) == 2


def test_a_completion_counts_where_it_happens() -> None:
    """Credit by completion: one from the warm-up counts, one that ends late does not."""
    assert completed_in(COLUMNS, window_of(PLAN, ORIGIN_NS)) == 2


def test_fidelity_counts_every_planned_request_once() -> None:
    """Planned = sent + not sent; completed, pending and lateness are of those sent."""
    load = fidelity(COLUMNS, PLAN, max_in_flight=3)
    assert (load.planned, load.sent, load.completed, load.pending) == (4, 3, 2, 1)
    assert load.offered_rps == 10.0
    assert load.sent_rps == 3 / 0.4
    assert load.completed_rps == 2 / 0.4
    assert (load.send_lateness_p50_ms, load.send_lateness_max_ms) == (0.0, 10.0)
    assert load.plan_sha256 == PLAN.sha256


def test_closed_loop_has_nothing_planned_and_nothing_offered() -> None:
    """None, because a closed loop follows the server."""
    load = fidelity(columns_of(answered(0, 10), answered(10, 10)), closed_plan(1, warmup_ms=0, duration_ms=20), 1)
    assert load.planned is None
    assert load.offered_rps is None
    assert load.sent == 2


def test_a_connection_error_was_sent_but_a_request_without_its_turn_was_not() -> None:
    """Only ``not-sent`` is not sent; pending is only what was written and never answered."""
    columns = columns_of(failed(0, "connect"), failed(1, "reset"), not_sent(2))
    load = fidelity(columns, open_plan([0, 1, 2], warmup_ms=0, duration_ms=10), 1)
    assert (load.planned, load.sent, load.completed, load.pending) == (3, 2, 0, 0)


def test_errors_are_counted_by_kind_over_all_requests() -> None:
    """Kinds that did not occur are left out; the rate's denominator has everything that was due."""
    rows = due_in(COLUMNS, window_of(PLAN, ORIGIN_NS))
    assert errors_by_kind(rows) == {"timeout": 1, "not-sent": 1}
    assert error_rate(rows) == 0.5


def test_no_request_is_no_error() -> None:
    """An empty window divides by nothing."""
    nothing = columns_of()
    assert errors_by_kind(nothing) == {}
    assert error_rate(nothing) == 0.0


def test_windows_split_without_gap_or_overlap() -> None:
    """The parts' edges meet, to the nanosecond."""
    parts = Window(7, 1007).split(3)
    assert [(part.start_ns, part.end_ns) for part in parts] == [(7, 340), (340, 673), (673, 1007)]


def test_a_row_of_a_failure_may_lack_any_later_stamp() -> None:
    """A failed pre-processing has no send; nothing computed from its row leaks into lateness."""
    broken = Sent(due=0, start=5, send=None, last=None, done=6, error="pipeline", queue=None, inference=None)
    load = fidelity(columns_of(broken), open_plan([0], warmup_ms=0, duration_ms=10), 1)
    assert load.send_lateness_max_ms == 5.0
    assert load.pending == 0


def test_a_window_that_begins_later_counts_only_what_is_due_in_it() -> None:
    """Planned, sent and rates are of the measured window, not of the planned one."""
    later = Window(ORIGIN_NS + 300 * MS, ORIGIN_NS + 600 * MS)
    load = load_fidelity(COLUMNS, PLAN, ORIGIN_NS, later, 3)
    assert (load.planned, load.sent, load.completed) == (3, 2, 1)
    assert load.completed_rps == pytest.approx(1 / 0.3)  # that of the warm-up, which ended at 300


OFFLINE = open_plan([0, 200, 200, 200, 200], warmup_ms=200, duration_ms=1000)


def test_an_offline_run_is_counted_over_its_makespan() -> None:
    """Four requests due at once and done after 400 ms are 10 a second, however long the window is."""
    columns = columns_of(answered(0, 100), *(answered(200, 100 * (i + 1)) for i in range(4)))
    assert is_all_at_once(OFFLINE)
    assert completing_s(columns, OFFLINE, window_of(OFFLINE, ORIGIN_NS)) == pytest.approx(0.4)
    assert fidelity(columns, OFFLINE, 4).completed_rps == pytest.approx(10)


def test_an_offline_run_that_is_not_done_is_counted_over_what_it_did() -> None:
    """What ends after the window is not counted, and neither is the time after the last that does."""
    columns = columns_of(answered(0, 100), *(answered(200, 300 * (i + 1)) for i in range(4)))
    assert fidelity(columns, OFFLINE, 4).completed_rps == pytest.approx(3 / 0.9)
    nothing = columns_of(*(failed(200, "timeout") for _ in range(4)))
    assert fidelity(nothing, OFFLINE, 4).completed_rps == 0.0


@pytest.mark.parametrize(("pattern", "steady"), [("poisson", True), ("gamma", True), ("ramp", False), ("mmpp", False)])
def test_what_changes_its_rate_on_purpose_is_not_steady(pattern: str, steady: bool) -> None:
    """And neither is what is due at one moment; a closed loop is."""
    plan = open_plan([0, 100, 200], warmup_ms=0, duration_ms=300)
    assert is_steady(Plan(**{**vars(plan), "pattern": pattern})) is steady
    assert not is_steady(OFFLINE)
    assert is_steady(closed_plan(2, warmup_ms=0, duration_ms=10))


def test_rows_of_shards_come_into_one_order() -> None:
    """By due time, and among equals by what else a row tells; rows already in order are not copied."""
    ordered = columns_of(answered(0, 1), answered(5, 1), answered(9, 1))
    assert in_due_order(ordered) is ordered
    rows = [answered(5, 3), answered(0, 1), answered(5, 2), answered(5, 3, late=1)]
    one, other = in_due_order(columns_of(*rows)), in_due_order(columns_of(*reversed(rows)))
    for name, column in one.items():
        assert (column == other[name]).all()
    assert (one["due_ns"][1:] >= one["due_ns"][:-1]).all()
