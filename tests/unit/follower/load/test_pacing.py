"""Pacing and counting: when the next request is due, and how many are in flight. Pure."""

from support.samples import MS, closed_plan, open_plan

from follower.load.in_flight import InFlight
from follower.load.pacing import NEVER, REST_NS, CappedLoop, ClosedLoop, OpenLoop, Pacing, pacing_of
from shared.workload.plan import Plan


def begun(plan: Plan, origin_ns: int = 0) -> Pacing:
    """The plan's pacing, after its start."""
    pacing = pacing_of(plan)
    pacing.begin(origin_ns)
    return pacing


def capped(due_ms: list[float], cap: int) -> Plan:
    """An open plan with a declared cap."""
    plan = open_plan(due_ms, warmup_ms=0, duration_ms=50)
    return Plan(**{**vars(plan), "max_in_flight": cap})


def test_nothing_is_due_before_the_start() -> None:
    """A pacing is made before the barrier; only the common origin sets it going."""
    for plan in (open_plan([0], warmup_ms=0, duration_ms=1), closed_plan(2, warmup_ms=0, duration_ms=1)):
        assert pacing_of(plan).next_due_ns() == NEVER
        assert begun(plan, 77).next_due_ns() == 77


def test_open_loop_hands_out_every_due_time_once_and_waits_for_nobody() -> None:
    """Late or not, answered or not: the plan's times, from the origin, in order."""
    pacing = begun(open_plan([0, 10, 10, 30], warmup_ms=0, duration_ms=50), 1000)
    taken = []
    while pacing.next_due_ns() < NEVER:
        taken.append(pacing.take())
        pacing.freed(10**12, rest=True)
    assert taken == [1000, 1000 + 10 * MS, 1000 + 10 * MS, 1000 + 30 * MS]
    assert list(pacing.left_over()) == []


def test_a_declared_cap_keeps_a_request_due_until_there_is_room() -> None:
    """It is neither dropped nor given a later due time, so that its wait shows as lateness."""
    pacing = begun(capped([0, 1, 2], cap=2))
    assert [pacing.take(), pacing.take()] == [0, MS]
    assert pacing.next_due_ns() == NEVER
    pacing.freed(40 * MS, rest=False)
    assert pacing.next_due_ns() == 2 * MS
    assert pacing.take() == 2 * MS


def test_a_lost_connection_frees_its_place_under_the_cap() -> None:
    """A failed request is not in flight any more."""
    pacing = begun(capped([0, 1], cap=1))
    pacing.take()
    pacing.freed(5, rest=True)
    assert pacing.take() == MS


def test_what_never_had_its_turn_is_handed_out_at_the_end_whatever_the_cap() -> None:
    """So that planned = sent + not sent."""
    pacing = begun(capped([0, 1, 2], cap=1), 10)
    pacing.take()
    assert list(pacing.left_over()) == [10 + MS, 10 + 2 * MS]
    assert pacing.next_due_ns() == NEVER


def test_closed_loop_keeps_its_slots_busy_until_the_end() -> None:
    """Each end makes one request due at that moment; after the plan's end none."""
    pacing = begun(closed_plan(2, warmup_ms=10, duration_ms=20))
    assert [pacing.take(), pacing.take()] == [0, 0]
    assert pacing.next_due_ns() == NEVER
    pacing.freed(7 * MS, rest=False)
    assert pacing.take() == 7 * MS
    pacing.freed(30 * MS, rest=False)
    assert pacing.next_due_ns() == NEVER


def test_closed_loop_thinks_between_an_answer_and_the_slots_next_request() -> None:
    """The pause counts from the answer; a slot whose pause reaches the end sends no more."""
    plan = Plan(**{**vars(closed_plan(1, warmup_ms=0, duration_ms=20)), "think_time_ns": 5 * MS})
    pacing = begun(plan, 100)
    assert pacing.take() == 100
    pacing.freed(100 + 3 * MS, rest=False)
    assert pacing.take() == 100 + 8 * MS
    pacing.freed(100 + 16 * MS, rest=False)
    assert pacing.next_due_ns() == NEVER


def test_closed_loop_rests_after_a_lost_connection_without_holding_up_other_slots() -> None:
    """A dead server is not asked as fast as it can refuse."""
    pacing = begun(closed_plan(2, warmup_ms=0, duration_ms=1000))
    pacing.take()
    pacing.take()
    pacing.freed(5, rest=True)
    pacing.freed(9, rest=False)
    assert [pacing.take(), pacing.take()] == [9, 5 + REST_NS]


def test_slots_that_rest_at_the_end_are_left_over() -> None:
    """They were due and had no turn."""
    pacing = begun(closed_plan(2, warmup_ms=0, duration_ms=100), 50)
    assert list(pacing.left_over()) == [50, 50]


def test_the_plan_chooses_its_pacing() -> None:
    """A concurrency makes a closed loop, a cap a capped one."""
    assert isinstance(pacing_of(closed_plan(1, warmup_ms=0, duration_ms=1)), ClosedLoop)
    assert isinstance(pacing_of(capped([], cap=3)), CappedLoop)
    assert type(pacing_of(open_plan([], warmup_ms=0, duration_ms=1))) is OpenLoop


def test_in_flight_counts_the_mean_inside_the_window() -> None:
    """Area under the count, clipped to [100, 200): 1 for all of it, 1 more for half, stamps in any order."""
    in_flight = InFlight()
    in_flight.count_from(100, 200)
    in_flight.enter(0)
    in_flight.enter(150)
    assert in_flight.count == 2
    in_flight.leave(250)
    in_flight.enter(260)
    in_flight.leave(220)
    in_flight.leave(270)
    assert in_flight.count == 0
    assert in_flight.mean() == 1.5
