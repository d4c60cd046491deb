"""How long a lease has been seen unchanged: never longer than it stood, and blind to wall clocks."""

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.clocks import FakeClock
from support.stored_runs import T0, lease, run

from leader.manage.vigil import Vigil
from leader.perfdb.entities import HeldLease, Run
from shared.jobs import lifecycle

LIMIT = timedelta(seconds=18)
SECOND_NS = 1_000_000_000


class Watch:
    """A vigil with a monotonic clock that a test moves; its wall clock is of no use to anyone."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.vigil = Vigil(self)

    def monotonic_ns(self) -> int:
        return round(self.now_s * SECOND_NS)

    def utc_now(self) -> datetime:
        raise AssertionError("no wall clock may decide here")

    def look(self, *leases: HeldLease, took_s: float = 0.0) -> list[str]:
        """Read all leases, and say which have stood for too long."""
        began_ns = self.monotonic_ns()
        self.now_s += took_s
        self.vigil.look(leases, began_ns=began_ns)
        return [held.run_id for held in self.vigil.unchanged(LIMIT)]


def held(end_s: float = 15.0, fence: int = 1, run_id: str = "r") -> HeldLease:
    """A lease that is stored to end so long after T0."""
    return HeldLease(run_id=run_id, fence=fence, expires_at=T0 + timedelta(seconds=end_s))


def leased(end_s: float = 15.0) -> Run:
    """A run under such a lease."""
    until = T0 + timedelta(seconds=end_s)
    return run(status=lifecycle.claim(run().status, lease(until=until), T0))


@pytest.mark.parametrize("end_s", [15.0, -3600.0, 3600.0])
def test_a_lease_is_silent_once_it_has_stood_for_long_enough(end_s: float) -> None:
    """From when it was first seen; where its stored end lies has no say."""
    watch = Watch()
    assert watch.look(held(end_s)) == []
    watch.now_s = 18.0
    assert watch.look(held(end_s)) == []
    watch.now_s = 18.1
    assert watch.look(held(end_s)) == ["r"]


def test_each_renewal_begins_the_count_anew() -> None:
    """Even one by a leader whose clock was set back."""
    watch = Watch()
    for number in range(1, 20):
        watch.now_s = 17.0 * number
        assert watch.look(held(15.0 - number)) == []


def test_a_look_that_took_long_counts_from_its_end() -> None:
    """The lease may have been renewed at any moment of it."""
    watch = Watch()
    watch.look(held(), took_s=30.0)
    watch.now_s = 47.9
    assert watch.look(held()) == []
    watch.now_s = 48.1
    assert watch.look(held()) == ["r"]


async def test_what_moved_during_a_look_is_newer_than_what_it_brings() -> None:
    """A renewal through this leader is not undone, nor is the end of a lease's run forgotten for long."""
    watch = Watch()
    began_ns = watch.monotonic_ns()
    watch.now_s = 1.0
    await watch.vigil.watch(leased(20.0))
    watch.vigil.look([held(15.0, run_id=run().id)], began_ns=began_ns)
    watch.now_s = 19.5
    assert [one.expires_at for one in watch.vigil.unchanged(LIMIT)] == [held(20.0).expires_at]


async def test_a_lease_that_is_gone_is_forgotten() -> None:
    """Whether it ended here or elsewhere; the next attempt's count is its own."""
    watch = Watch()
    watch.look(held())
    watch.now_s = 10.0
    watch.look()
    watch.look(held())
    watch.now_s = 20.0
    assert watch.look(held()) == []
    watch.vigil = Vigil(watch)
    await watch.vigil.watch(leased())
    await watch.vigil.watch(run())
    watch.now_s = 100.0
    assert watch.vigil.unchanged(LIMIT) == []


async def test_an_attempt_is_held_across_its_renewals_and_not_across_attempts() -> None:
    """That is what its cap is measured by."""
    watch = Watch()
    assert watch.vigil.held(leased()) == timedelta(0)
    await watch.vigil.watch(leased())
    watch.now_s = 100.0
    await watch.vigil.watch(leased(115.0))
    assert watch.vigil.held(leased(115.0)) == timedelta(seconds=100)
    again = run(status=leased().status.model_copy(update={"fence": 3}))
    assert watch.vigil.held(again) == timedelta(0)
    await watch.vigil.watch(again)
    assert watch.vigil.held(again) == timedelta(0)


@given(
    gaps_s=st.lists(st.floats(0.1, 17.0), min_size=1, max_size=20),
    looks_s=st.lists(st.floats(0.1, 5.0), min_size=1, max_size=60),
)
def test_a_lease_that_is_renewed_in_time_is_never_silent(gaps_s: list[float], looks_s: list[float]) -> None:
    """Renewals at any moments, looks at any others: no lease counts as older than it is."""
    watch, renewed = Watch(), [0.0]
    for gap_s in gaps_s:
        renewed.append(renewed[-1] + gap_s)
    at_s = 0.0
    for look_s in looks_s:
        at_s += look_s
        if at_s > renewed[-1] + LIMIT.total_seconds():
            break
        watch.now_s = at_s
        last = max(number for number, moment_s in enumerate(renewed) if moment_s <= at_s)
        assert watch.look(held(float(last))) == []


def test_the_clock_of_a_desk_serves() -> None:
    """Any shared.clock.Clock does."""
    clock = FakeClock()
    vigil = Vigil(clock)
    vigil.look([held()], began_ns=clock.monotonic_ns())
    clock.advance(19)
    assert [one.run_id for one in vigil.unchanged(LIMIT)] == ["r"]
