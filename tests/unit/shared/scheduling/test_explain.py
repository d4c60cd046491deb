"""Why a run waits and when it starts: small queues, whose future is known by hand."""

from dataclasses import replace

import pytest
from support.followers import CPU_FOLLOWER, CPU_SLOT, run_spec
from support.queued_runs import busy, key, queued, same_device, slot, snapshot

from shared.errors import NotFound
from shared.scheduling.backlog import Backlog
from shared.scheduling.explain import Explanation, Why, explain
from shared.scheduling.needs import needs_of
from shared.scheduling.policy import SchedulingPolicy, policy_named
from shared.scheduling.snapshot import Quota, SlotState, Snapshot

FIRST = SchedulingPolicy(order="first-come")
SHORTEST = SchedulingPolicy(order="shortest-first")


def starts(found: Explanation) -> tuple[float | None, float | None]:
    """The two quantiles of the start."""
    return found.starts_in_p50_s, found.starts_in_p90_s


def test_a_run_whose_slot_is_free_is_next() -> None:
    """It starts at once, and the reasons are the decision's."""
    found = explain(snapshot([queued("x", 30)], [slot("f")]), "x", FIRST)
    assert (found.why, found.position, found.queued, starts(found)) == (Why.NEXT, 1, 1, (0, 0))
    assert "follower f" in found.words
    assert found.ends_in_p50_s == 30
    assert found.reasons[0].name == "class"


def test_a_run_in_a_queue_starts_when_those_before_it_have_ended() -> None:
    """The slot is free in 40 s; then 10 s and 20 s go first: with exact predictions it starts in 70 s."""
    runs = [queued("ten", 10, 0), queued("twenty", 20, 1), queued("x", 30, 2)]
    found = explain(snapshot(runs, [slot("f", busy=busy("b", 45.0))], now_s=5.0), "x", FIRST)
    assert (found.why, found.position, found.queued) == (Why.WAITING, 3, 3)
    assert starts(found) == (70, 70)
    assert found.ends_in_p50_s == 100
    assert found.words == "2 before it; 1 slots can run it, 1 of them busy"


def test_the_policy_decides_who_is_before_it() -> None:
    """Shortest first puts the short run before one that was there earlier."""
    runs = [queued("long", 100, 0), queued("x", 5, 1)]
    state = snapshot(runs, [slot("f", busy=busy("b", 10.0))])
    assert (explain(state, "x", FIRST).position, explain(state, "x", SHORTEST).position) == (2, 1)
    assert starts(explain(state, "x", FIRST)) == (110, 110)
    assert starts(explain(state, "x", SHORTEST)) == (10, 10)


def test_uncertain_predictions_give_a_spread() -> None:
    """One run of median 100 s and p90 200 s is before it: half its futures start by 100 s, nine in ten by 200 s."""
    runs = [queued("before", 100, 0, p90_s=200.0), queued("x", 5, 1)]
    state = snapshot(runs, [slot("f", busy=busy("b", 10.0))])
    p50_s, p90_s = starts(explain(state, "x", FIRST, draws=400))
    assert p50_s == pytest.approx(110, rel=0.1)
    assert p90_s == pytest.approx(210, rel=0.15)


def test_an_overdue_run_is_expected_to_take_a_tenth_more() -> None:
    """Else everything behind it would seem to start now, for ever."""
    state = snapshot([queued("x", 5)], [slot("f", busy=busy("b", 100.0))], now_s=150.0)
    assert starts(explain(state, "x", FIRST)) == (10, 10)


def test_explaining_changes_nothing() -> None:
    """The queue that was played forward is a copy."""
    runs = [queued(f"r{n}", 10 + n, n) for n in range(5)]
    state = snapshot(runs, [slot("f", busy=busy("b", 10.0))])
    assert explain(state, "r4") == explain(state, "r4")
    assert sorted(run.run_id for run in state.backlog) == [f"r{n}" for n in range(5)]


def test_runs_that_need_other_slots_are_not_before_it() -> None:
    """A queue of GPU runs is no reason for a CPU run to wait."""
    runs = [queued(f"gpu-{n}", 10, n, device="cuda") for n in range(5)] + [queued("x", 5, 9)]
    slots = [slot("c", busy=busy("b", 7.0)), slot("g", device="cuda", busy=busy("b", 99.0))]
    found = explain(snapshot(runs, slots), "x", FIRST)
    assert (found.position, found.queued, starts(found)) == (1, 1, (7, 7))


def test_a_team_over_its_quota_is_told_so() -> None:
    """It starts when one of its own has ended."""
    slots = [slot("f", busy=busy("a", 20.0)), slot("free")]
    state = snapshot([queued("x", 5)], slots, quotas={"a": Quota(running=1)})
    found = explain(state, "x", FIRST)
    assert (found.why, starts(found)) == (Why.OVER_QUOTA, (20, 20))
    assert found.words == "team 'a' has 1 running; its quota is 1"
    spent = explain(snapshot([queued("x", 5)], slots, quotas={"a": Quota(device_s=20)}), "x", FIRST)
    assert spent.words == "team 'a' has used 20 of 20 device-seconds"
    assert starts(spent) == (None, None)


def test_a_bound_run_names_the_slot_that_it_waits_for() -> None:
    """Even though another slot is idle."""
    state = snapshot([queued("x", 1, bound_to=key("f"))], [slot("f", busy=busy("b", 30.0)), slot("idle")])
    found = explain(state, "x", policy_named("queue-aware+first-come"))
    assert found.words.endswith("it is bound to slot 0 of follower f")
    assert starts(found) == (30, 30)


def test_without_a_follower_that_can_run_it_there_is_no_position() -> None:
    """No follower at all, none of the device, or only cordoned ones."""
    gpu = queued("x", 5, device="cuda")
    for slots, words in (
        ([], "no follower is registered"),
        ([slot("f", device="cuda", accepts=False)], "1 slots could, but they are cordoned or draining"),
    ):
        found = explain(snapshot([gpu], slots), "x")
        assert (found.why, found.position, starts(found)) == (Why.NO_FOLLOWER, None, (None, None))
        assert found.words.startswith("no live follower can run it: ")
        assert words in found.words


def test_what_no_follower_announces_is_named_in_the_words_of_the_job_file() -> None:
    """The same words as a refusal at submit."""
    announced = SlotState(key=key("f"), slot=CPU_SLOT, capabilities=CPU_FOLLOWER)
    run = replace(queued("x", 5), needs=needs_of(run_spec(network="lte")))
    found = explain(Snapshot(now_s=0, backlog=Backlog.of([run]), slots=[announced]), "x")
    assert found.why is Why.NO_FOLLOWER
    assert "network: 'lte' is not available on any follower" in found.words


def test_a_run_far_back_is_estimated_from_the_work_before_it() -> None:
    """The slots are free in 5 s; 3000 runs of 10 s before it on 4 slots are 7500 s; all of it would take long to play.

    Each has a p90 of 1.28 standard deviations above: 10 s each, so the sum's is 10 * sqrt(3000) / 4 = 137 s.
    """
    runs = [queued(f"r{n}", 10, n, p90_s=22.815515655) for n in range(3000)] + [queued("x", 10, 9999)]
    slots = [slot(f"f{n}", busy=busy("b", 5.0)) for n in range(4)]
    found = explain(snapshot(runs, slots), "x", FIRST)
    assert found.position == 3001
    assert found.starts_in_p50_s == pytest.approx(7505)
    assert found.starts_in_p90_s == pytest.approx(7505 + 1.2815515655 * 136.93)


def test_a_run_that_is_not_queued_has_no_explanation_here() -> None:
    """It runs, has ended, or never was."""
    with pytest.raises(NotFound):
        explain(snapshot([], []), "x")
    assert same_device(queued("x", 1).needs, slot("f"))
