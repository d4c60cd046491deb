"""A run that was failed: it backs off, goes to another follower first, and to any in the end."""

from dataclasses import replace
from math import inf

import pytest
from support.queued_runs import busy, key, queued, slot, snapshot

from shared.scheduling.avoidance import AVOID_S, Avoidance
from shared.scheduling.backlog import Backlog, Queued
from shared.scheduling.decide import decide, next_for
from shared.scheduling.explain import Why, explain
from shared.scheduling.policy import SchedulingPolicy, policy_named
from shared.scheduling.snapshot import SlotState, Snapshot

FIRST = SchedulingPolicy(order="first-come")
RETRY = queued("retry", 10, avoid=("f1",), not_before_s=0.0)


def taken(state: Snapshot, policy: SchedulingPolicy = FIRST) -> list[tuple[str, str]]:
    """Run and follower of each placement, in order."""
    return [(placement.run_id, placement.slot.follower) for placement in decide(state, policy).placements]


def gets(follower: str, state: Snapshot) -> list[str]:
    """What a claim of the follower's slot gets."""
    return [placement.run_id for placement in next_for(state, key(follower), FIRST).placements]


@pytest.mark.parametrize(("now_s", "expected"), [(9.9, ["other"]), (10.0, ["failed"])])
def test_a_run_is_not_started_before_its_back_off_is_over(now_s: float, expected: list[str]) -> None:
    """Although it was first; the slot takes the next one meanwhile."""
    runs = [queued("failed", 10, 0, not_before_s=10.0), queued("other", 10, 1)]
    assert gets("f1", snapshot(runs, [slot("f1")], now_s=now_s)) == expected


def test_a_slot_stays_free_while_all_runs_back_off() -> None:
    """Nothing is taken early because there is nothing else."""
    state = snapshot([queued("x", 10, not_before_s=5.0)], [slot("f1")], now_s=4.0)
    assert decide(state, FIRST).placements == ()


def test_the_follower_that_failed_a_run_leaves_it_to_another() -> None:
    """Whoever comes first: f1 takes the run behind it, f2 the failed one."""
    runs = [RETRY, queued("other", 10, 1)]
    assert taken(snapshot(runs, [slot("f1"), slot("f2")])) == [("other", "f1"), ("retry", "f2")]
    assert gets("f1", snapshot([RETRY], [slot("f1"), slot("f2")])) == []


@pytest.mark.parametrize(
    ("other", "gets_it"),
    [
        (slot("f2", busy=busy("b", 500.0)), False),  # worth waiting for
        (slot("f2", accepts=False), True),  # cordoned: it would never come
        (slot("f2", device="gpu"), True),  # cannot run it
        (None, True),  # the only follower
    ],
    ids=["busy", "cordoned", "unfit", "alone"],
)
def test_a_run_goes_back_where_nobody_else_could_run_it(other: SlotState | None, gets_it: bool) -> None:
    """Another slot of the same follower is nobody else."""
    second = replace(slot("f1"), key=key("f1")._replace(slot="1"))
    slots = [slot("f1"), second, *([other] if other else [])]
    assert gets("f1", snapshot([RETRY], slots)) == (["retry"] if gets_it else [])


@pytest.mark.parametrize(("now_s", "expected"), [(AVOID_S - 0.1, []), (AVOID_S, ["retry"])])
def test_a_run_waits_five_minutes_for_another_follower(now_s: float, expected: list[str]) -> None:
    """From the end of its back-off; then even the one that failed it may have it."""
    assert AVOID_S == 300.0
    state = snapshot([RETRY], [slot("f1"), slot("f2", busy=busy("b", 1e4))], now_s=now_s)
    assert gets("f1", state) == expected


def test_a_run_that_every_follower_failed_is_anybodys() -> None:
    """There is nobody left to prefer."""
    state = snapshot([queued("x", 10, avoid=("f1", "f2"), not_before_s=0.0)], [slot("f1"), slot("f2")])
    assert taken(state) == [("x", "f1")]


def test_many_failed_runs_each_keep_away_from_their_own() -> None:
    """Of forty runs that f1, f2 or both failed, no follower gets one of its own while f3 is there."""
    avoids = [("f1",), ("f2",), ("f1", "f2"), ()]
    runs = [queued(f"r{n}", 10, n, avoid=avoids[n % 4], not_before_s=0.0) for n in range(40)]
    slots = [replace(slot(f"f{n % 3 + 1}"), key=key(f"f{n % 3 + 1}")._replace(slot=str(n))) for n in range(30)]
    state = snapshot(runs, slots)
    placed = taken(state)
    assert len({run for run, _ in placed}) == len(placed) == 30
    assert all(follower not in state.backlog[run].avoid for run, follower in placed)


@pytest.mark.parametrize("placement", ["round-robin", "queue-aware"])
def test_a_binding_to_the_follower_that_failed_is_given_up(placement: str) -> None:
    """The run is bound anew, to another; one that only f1 can run stays where it is."""
    policy = policy_named(f"{placement}+first-come")
    astray = queued("astray", 10, avoid=("f1",), not_before_s=0.0, bound_to=key("f1"))
    state = snapshot([astray], [slot("f1"), slot("f2")])
    assert [(b.run_id, b.slot) for b in decide(state, policy).bindings] == [("astray", key("f2"))]
    alone = snapshot([astray], [slot("f1"), slot("f2", device="gpu")])
    assert decide(alone, policy).bindings == ()
    assert taken(alone, policy) == [("astray", "f1")]


def test_the_columns_follow_a_run_that_moves_within_them() -> None:
    """Removing one moves the last into its place; a copy has the same."""
    runs = [queued("a", 1), queued("b", 1), queued("c", 1, avoid=("f1",), not_before_s=7.0)]
    backlog = Backlog.of(runs)
    backlog.remove("a")
    for one in (backlog, backlog.copy()):
        rows, row = one.rows(), one.row_of("c")
        assert (rows.not_before_s[row], one.avoids.things[int(rows.avoid[row])]) == (7.0, ("f1",))
        assert (rows.not_before_s[one.row_of("b")], rows.avoid[one.row_of("b")]) == (-inf, -1)


def test_the_words_name_who_failed_it_and_who_comes_first() -> None:
    """A few of them; nothing where it does not matter any more."""
    crowd = [slot(f"f{number}") for number in range(1, 7)]
    assert Avoidance(snapshot([RETRY], crowd[:2])).in_words(RETRY) == "f1 failed it; f2 first"
    assert Avoidance(snapshot([RETRY], crowd)).in_words(RETRY) == "f1 failed it; f2, f3, f4 and 2 more first"
    assert Avoidance(snapshot([RETRY], crowd[:1])).in_words(RETRY) == ""
    assert Avoidance(snapshot([RETRY], crowd, now_s=AVOID_S)).in_words(RETRY) == ""


def told(run: Queued, *slots: SlotState, now_s: float = 0.0) -> tuple[Why, str, float | None]:
    """What explain says of the run, alone in the queue, and when it is to start."""
    found = explain(snapshot([run], slots, now_s=now_s), run.run_id, FIRST)
    return found.why, found.words, found.starts_in_p50_s


def test_explain_tells_of_the_back_off_and_its_end() -> None:
    """It starts when its time has come, on a slot that is free already."""
    waits = queued("x", 10, not_before_s=2.0)
    assert told(waits, slot("f1")) == (Why.BACKING_OFF, "waits 2 s after its last failure", 2.0)
    assert told(waits, slot("f1"), now_s=2.0)[0] is Why.NEXT
    retry = replace(RETRY, not_before_s=2.0)
    words = "waits 2 s after its last failure; f1 failed it; f2 first"
    assert told(retry, slot("f1"), slot("f2")) == (Why.BACKING_OFF, words, 2.0)


def test_explain_tells_who_is_waited_for() -> None:
    """The other is busy for 100 s; if it is busy for longer than the five minutes, the run goes back."""
    words = "0 before it; 2 slots can run it, 1 of them busy; f1 failed it; f2 first"
    assert told(RETRY, slot("f1"), slot("f2", busy=busy("b", 100.0))) == (Why.WAITING, words, 100.0)
    assert told(RETRY, slot("f1"), slot("f2", busy=busy("b", 1000.0))) == (Why.WAITING, words, AVOID_S)
