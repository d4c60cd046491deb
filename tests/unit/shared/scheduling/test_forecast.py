"""When a job that is not there yet would start and end: queues whose future is known by hand."""

import pytest
from support.queued_runs import busy, queued, slot, snapshot

from shared.errors import Conflict
from shared.scheduling.forecast import Forecast, Span, forecast
from shared.scheduling.policy import SchedulingPolicy
from shared.scheduling.snapshot import Quota

FIRST = SchedulingPolicy(order="first-come")
SHORTEST = SchedulingPolicy(order="shortest-first")


def exactly(starts_s: float, ends_s: float) -> tuple[Span, Span]:
    """With predictions that are certain, half of all futures and nine in ten are the same."""
    return Span(starts_s, starts_s), Span(ends_s, ends_s)


def times(found: Forecast) -> tuple[Span | None, Span | None]:
    """The first start and the last end."""
    return found.starts_in, found.ends_in


def figures(found: Forecast) -> tuple[float, ...]:
    """p50 and p90 of both."""
    assert found.starts_in is not None
    assert found.ends_in is not None
    return (found.starts_in.p50_s, found.starts_in.p90_s, found.ends_in.p50_s, found.ends_in.p90_s)


def test_on_idle_slots_a_job_starts_at_once_and_ends_with_its_longest_row() -> None:
    """Three runs of 10 s on two slots: the third begins when one of the first two has ended."""
    runs = [queued(f"x{n}", 10, n) for n in range(3)]
    found = forecast(snapshot([], [slot("f"), slot("g")]), runs, FIRST)
    assert times(found) == exactly(0, 20)
    assert found.words == "0 queued runs go before the last of them; 2 slots can run them, 0 of them busy"


def test_what_runs_and_what_waits_goes_before_it() -> None:
    """The slot is free in 40 s; 10 s and 20 s go first; then the job's own 30 s and 5 s."""
    waiting = [queued("ten", 10, 0), queued("twenty", 20, 1)]
    state = snapshot(waiting, [slot("f", busy=busy("b", 45.0))], now_s=5.0)
    found = forecast(state, [queued("x", 30, 5), queued("y", 5, 5.5)], FIRST)
    assert times(found) == exactly(70, 105)
    assert found.words.startswith("2 queued runs go before the last of them; 1 slots can run them, 1 of them busy")


def test_a_short_job_passes_a_long_queue_where_the_policy_says_so() -> None:
    """Shortest first puts its 5 s before the 100 s that came earlier, and its 200 s behind them."""
    state = snapshot([queued("long", 100, 0)], [slot("f", busy=busy("b", 10.0))])
    found = forecast(state, [queued("short", 5, 1), queued("longest", 200, 1)], SHORTEST)
    assert times(found) == exactly(10, 10 + 5 + 100 + 200)


def test_uncertain_predictions_widen_the_end() -> None:
    """A single run of median 100 s and p90 200 s starts now, and nine in ten futures end it by 200 s."""
    found = forecast(snapshot([], [slot("f")]), [queued("x", 100, p90_s=200.0)], FIRST, draws=400)
    assert figures(found)[:2] == (0, 0)
    assert figures(found)[2:] == pytest.approx((100, 200), rel=0.15)


def test_a_long_queue_is_summed_up_instead_of_played() -> None:
    """4 slots free in 5 s, 3000 runs of 10 s before it: 7505 s; then its own 10 s.

    Each run's standard deviation is 10 s: the start's is 10 * sqrt(3000) / 4 = 136.9 s, and the end has the run's too.
    """
    waiting = [queued(f"r{n}", 10, n, p90_s=22.815515655) for n in range(3000)]
    slots = [slot(f"f{n}", busy=busy("b", 5.0)) for n in range(4)]
    found = forecast(snapshot(waiting, slots), [queued("x", 10, 9999, p90_s=22.815515655)], FIRST)
    assert figures(found) == pytest.approx((7505, 7505 + 1.2815515655 * 136.93, 7515, 7515 + 1.2815515655 * 137.30))


def test_where_no_slot_can_take_a_run_nothing_is_in_sight() -> None:
    """One run of the job is enough; cordoned slots are told apart from none."""
    runs = [queued("x", 5), queued("y", 5, device="cuda")]
    found = forecast(snapshot([], [slot("f"), slot("g", device="cuda", accepts=False)]), runs, FIRST)
    assert times(found) == (None, None)
    assert found.words == "no live follower can run it: 1 slots could, but they are cordoned or draining"
    assert "no follower is registered" in forecast(snapshot([], []), runs, FIRST).words


def test_a_team_over_its_quota_waits_for_its_own_runs() -> None:
    """And where its device-seconds are used up, nothing is in sight."""
    slots = [slot("f", busy=busy("a", 20.0)), slot("free")]
    running = forecast(snapshot([], slots, quotas={"a": Quota(running=1)}), [queued("x", 5)], FIRST)
    assert times(running) == exactly(20, 25)
    assert running.words == "team 'a' has 1 running; its quota is 1"
    spent = forecast(snapshot([], slots, quotas={"a": Quota(device_s=20)}), [queued("x", 5)], FIRST)
    assert times(spent) == (None, None)
    assert spent.words == "team 'a' has used 20 of 20 device-seconds"


def test_without_runs_there_is_nothing_to_wait_for() -> None:
    """As of a job whose runs are all reused."""
    assert forecast(snapshot([], []), []) == Forecast(words="nothing is to be run")


def test_a_forecast_leaves_the_queue_as_it_is() -> None:
    """It joins a copy; and a run that waits already cannot join."""
    state = snapshot([queued("r", 10)], [slot("f")])
    forecast(state, [queued("x", 5)], FIRST)
    assert [run.run_id for run in state.backlog] == ["r"]
    with pytest.raises(Conflict):
        forecast(state, [queued("r", 5)], FIRST)
