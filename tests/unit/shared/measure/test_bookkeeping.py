"""Faults of the sender's own that the columns give away."""

import numpy as np
from support.samples import ORIGIN_NS, Sent, answered, closed_plan, columns_of, failed, not_sent, open_plan

from shared.measure.bookkeeping import faults
from shared.measure.columns import Columns
from shared.workload.plan import Plan

PLAN = open_plan([0, 100, 200, 300], warmup_ms=100, duration_ms=300)
SOUND = [answered(0, 5), answered(100, 5), failed(200, "timeout"), not_sent(300)]


def found(columns: Columns, plan: Plan = PLAN) -> list[str]:
    """All of them."""
    return list(faults(columns, plan, ORIGIN_NS))


def test_a_sound_run_has_none() -> None:
    """Failures and requests never sent have their rows, and lack stamps without being out of order."""
    assert found(columns_of(*SOUND)) == []
    assert found(columns_of(), open_plan([], warmup_ms=0, duration_ms=10)) == []


def test_stamps_out_of_order_are_told() -> None:
    """Sent before it was due, or answered before it was sent: a clock or a column is wrong."""
    early = Sent(due=100, start=99, send=99, last=105, done=105)
    backwards = Sent(due=200, start=200, send=205, last=204, done=206)
    assert found(columns_of(SOUND[0], early, backwards, SOUND[3])) == [
        "bookkeeping: the stamps of 2 requests are out of order"
    ]


def test_a_lost_or_doubled_row_is_told() -> None:
    """Every planned request of the window has exactly one."""
    assert found(columns_of(*SOUND[:3])) == ["bookkeeping: 3 requests were planned, and 2 have a row"]
    assert found(columns_of(*SOUND, not_sent(300))) == ["bookkeeping: 3 requests were planned, and 4 have a row"]


def test_a_row_of_another_plan_is_told() -> None:
    """Due times must be the plan's, to the nanosecond."""
    columns = dict(columns_of(*SOUND))
    columns["due_ns"] = columns["due_ns"] + np.array([0, 0, -1, 0])
    assert found(columns) == ["bookkeeping: requests are not due when the plan says"]


def test_the_warm_up_may_lack_rows() -> None:
    """No figure is made of them."""
    assert found(columns_of(*SOUND[1:])) == []


def test_a_closed_loop_has_no_plan_to_keep() -> None:
    """Its requests are due when answers come; their stamps are judged all the same."""
    closed = closed_plan(1, warmup_ms=0, duration_ms=300)
    assert found(columns_of(answered(0, 5), answered(5, 5)), closed) == []
    assert found(columns_of(Sent(due=9, start=5, send=5, last=6, done=6)), closed) != []
