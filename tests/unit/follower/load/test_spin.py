"""When a sender polls instead of sleeping: never without a core to burn, never for long."""

import numpy as np
import pytest
from support.samples import MS, closed_plan, open_plan

from follower.load.spin import LONGEST_NS, MOST_BURNT, USUAL_NS, CoreCheck, burnt_share, check_core, decide_spin
from follower.load.waiter import Waiter
from shared.workload.plan import Plan

FREE = CoreCheck(overshoots_ns=[60_000, 80_000, 320_000], lost_share=0.01)


def constant(gap_ms: float, *, duration_ms: float = 100) -> Plan:
    """A plan of equal gaps."""
    due_ms = np.arange(0, duration_ms, gap_ms).tolist()
    return open_plan(due_ms, warmup_ms=0, duration_ms=duration_ms)


def test_polling_begins_a_quarter_earlier_than_the_latest_wake_that_was_seen() -> None:
    """400 us for 320 us."""
    spin = decide_spin(constant(2), FREE)
    assert spin.before_ns == 400_000
    assert "polls the last 400 us" in spin.reason
    assert "320 us late" in spin.reason


@pytest.mark.parametrize(("overshoot_ns", "spin_ns"), [(1_000, USUAL_NS), (9_000_000, LONGEST_NS)])
def test_polling_has_its_bounds(overshoot_ns: int, spin_ns: int) -> None:
    """Neither a lucky nor an unlucky measurement decides alone."""
    check = CoreCheck(overshoots_ns=[overshoot_ns], lost_share=0.0)
    assert decide_spin(constant(10), check).before_ns == spin_ns


def test_a_core_that_others_use_is_not_polled_on() -> None:
    """The reason says how much they took."""
    spin = decide_spin(constant(2), CoreCheck(overshoots_ns=[60_000], lost_share=0.37))
    assert spin.before_ns == 0
    assert "others took 37%" in spin.reason


def test_dense_plans_are_polled_for_less_and_then_not_at_all() -> None:
    """At most a third of the core burns, whatever the rate."""
    assert decide_spin(constant(1), FREE).before_ns == 300_000
    assert decide_spin(constant(0.5), FREE).before_ns == 126_562
    none = decide_spin(constant(0.2), FREE)
    assert none.before_ns == 0
    assert "too close" in none.reason


@pytest.mark.parametrize("gap_ms", [0.1, 0.4, 0.8, 1.0, 3.0, 20.0])
def test_never_more_than_a_third_of_the_core_is_burnt(gap_ms: float) -> None:
    """Counted gap by gap."""
    plan = constant(gap_ms)
    assert burnt_share(plan, decide_spin(plan, FREE).before_ns) <= MOST_BURNT


def test_the_burnt_share_is_the_part_of_each_gap_that_is_polled() -> None:
    """Gaps of 0, 1, 1 and 8 ms in 20 ms, 2 ms polled before each: 0 + 1 + 1 + 2 of 20."""
    plan = open_plan([0, 1, 2, 10], warmup_ms=0, duration_ms=20)
    assert burnt_share(plan, 2 * MS) == pytest.approx(4 / 20)
    assert burnt_share(closed_plan(1, warmup_ms=0, duration_ms=20), 2 * MS) == 0


def test_the_check_is_short_and_in_bounds() -> None:
    """Whatever this machine is doing: no timer fires early, and a share is a share."""
    with Waiter() as waiter:
        check = check_core(waiter)
    assert len(check.overshoots_ns) == 20
    assert min(check.overshoots_ns) >= 0
    assert 0 <= check.lost_share <= 1
