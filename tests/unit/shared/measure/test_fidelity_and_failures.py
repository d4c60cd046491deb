"""What was asked for against what was sent."""

from support.samples import ORIGIN_NS, Sent, answered, closed_plan, columns_of, failed, not_sent, open_plan

from shared.measure.failures import error_rate, errors_by_kind
from shared.measure.fidelity import load_fidelity
from shared.measure.windows import Window, completed_in, due_in, window_of

PLAN = open_plan([0, 100, 200, 300, 400, 500], warmup_ms=200, duration_ms=400)
COLUMNS = columns_of(
    answered(0, 300),  # due in the warm-up, completed inside
    answered(100, 50),  # not of the window at all
    answered(200, 50, late=10),
    answered(300, 450),  # due inside, completed after
    failed(400, "timeout", after=100),
    not_sent(500),
)


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
    load = load_fidelity(COLUMNS, PLAN, ORIGIN_NS, max_in_flight=3)
    assert (load.planned, load.sent, load.completed, load.pending) == (4, 3, 2, 1)
    assert load.offered_rps == 10.0
    assert load.sent_rps == 3 / 0.4
    assert load.completed_rps == 2 / 0.4
    assert (load.send_lateness_p50_ms, load.send_lateness_max_ms) == (0.0, 10.0)
    assert load.plan_sha256 == PLAN.sha256


def test_closed_loop_has_nothing_planned_and_nothing_offered() -> None:
    """None, because a closed loop follows the server."""
    load = load_fidelity(
        columns_of(answered(0, 10), answered(10, 10)), closed_plan(1, warmup_ms=0, duration_ms=20), ORIGIN_NS, 1
    )
    assert load.planned is None
    assert load.offered_rps is None
    assert load.sent == 2


def test_a_connection_error_was_sent_but_a_request_without_its_turn_was_not() -> None:
    """Only ``not-sent`` is not sent; pending is only what was written and never answered."""
    columns = columns_of(failed(0, "connect"), failed(1, "reset"), not_sent(2))
    load = load_fidelity(columns, open_plan([0, 1, 2], warmup_ms=0, duration_ms=10), ORIGIN_NS, 1)
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
    load = load_fidelity(columns_of(broken), open_plan([0], warmup_ms=0, duration_ms=10), ORIGIN_NS, 1)
    assert load.send_lateness_max_ms == 5.0
    assert load.pending == 0
