"""Which run each slot takes: worked by hand for every order and placement."""

import pytest
from support.queued_runs import busy, key, queued, slot, snapshot

from shared.errors import Conflict, InvalidInput
from shared.scheduling.backlog import Backlog, Queued
from shared.scheduling.decide import decide, next_for
from shared.scheduling.policy import ORDER_NAMES, PLACEMENTS, SchedulingPolicy, policy_named
from shared.scheduling.snapshot import Quota, SlotState, Snapshot, TeamUse

AGED = SchedulingPolicy(order="shortest-first-aged")
SHORTEST = SchedulingPolicy(order="shortest-first")
FIRST = SchedulingPolicy(order="first-come")
FAIR = SchedulingPolicy()


def taken(state: Snapshot, policy: SchedulingPolicy) -> list[tuple[str, str]]:
    """Run and follower of each placement, in order."""
    return [(placement.run_id, placement.slot.follower) for placement in decide(state, policy).placements]


def order_of(runs: list[Queued], policy: SchedulingPolicy, **more: object) -> list[str]:
    """All runs, as many free slots as runs: the order in which they are taken."""
    slots = [slot(f"f{index:02}") for index in range(len(runs))]
    return [run for run, _ in taken(snapshot(runs, slots, **more), policy)]  # type: ignore[arg-type]  # passed on


QUEUE = [queued("long", 100, 1), queued("short", 5, 4), queued("also-short", 5, 3), queued("middle", 50, 2)]


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        (FIRST, ["long", "middle", "also-short", "short"]),
        (SHORTEST, ["also-short", "short", "middle", "long"]),
        (AGED, ["also-short", "short", "middle", "long"]),
    ],
    ids=lambda value: value.order if isinstance(value, SchedulingPolicy) else "",
)
def test_an_order_ranks_by_what_its_name_says(policy: SchedulingPolicy, expected: list[str]) -> None:
    """Equals go by submission."""
    assert order_of(QUEUE, policy, now_s=4.0) == expected


def test_aging_lets_a_long_run_pass_in_the_end() -> None:
    """11, 9 and 100 s on three slots: the virtual wait is 40 s. 100 s that waited 90 s count 100 / (1 + 1.5^6) = 8.1 s.

    They pass a fresh run of 9 s; with a wait of 85 s they count 11.1 s, and pass neither.
    """
    fresh = [queued("eleven", 11, 90), queued("nine", 9, 90)]
    assert order_of([*fresh, queued("old", 100, 0)], AGED, now_s=90.0) == ["old", "nine", "eleven"]
    assert order_of([*fresh, queued("old", 100, 5)], AGED, now_s=90.0) == ["nine", "eleven", "old"]
    slower = SchedulingPolicy(order="shortest-first-aged", aging=0.5)  # 100 / (1 + 0.75^6) = 85 s
    assert order_of([*fresh, queued("old", 100, 0)], slower, now_s=90.0) == ["nine", "eleven", "old"]


def test_a_wait_counts_by_how_long_the_queue_is() -> None:
    """90 s are long where two slots have 59 s to do, and nothing beside 400 s that one of them still has to do."""
    runs = [queued("nine", 9, 90), queued("old", 50, 0)]
    idle, working = [slot("f"), slot("g")], [slot("f"), slot("g", busy=busy("b", 490.0))]
    first = {
        slots[1].occupant is not None: decide(snapshot(runs, slots, now_s=90.0), AGED).placements[0].run_id
        for slots in (idle, working)
    }
    assert first == {False: "old", True: "nine"}


def test_without_aging_the_order_is_shortest_first() -> None:
    """Aging 0 turns it off, however long a run has waited."""
    runs = [queued("old", 100, 0), queued("new", 99, 1e4)]
    off = SchedulingPolicy(order="shortest-first-aged", aging=0.0)
    assert order_of(runs, off, now_s=1e4) == ["new", "old"]
    assert order_of(runs, AGED, now_s=1e4) == ["old", "new"]


def test_the_earliest_deadline_goes_first_and_none_goes_last() -> None:
    """Runs without a deadline keep their order of submission."""
    runs = [queued("none", 1, 0), queued("late", 1, 1, deadline_s=90), queued("soon", 1, 2, deadline_s=60)]
    assert order_of(runs, SchedulingPolicy(order="earliest-deadline")) == ["soon", "late", "none"]


@pytest.mark.parametrize("order", ORDER_NAMES)
def test_a_priority_class_comes_before_every_order(order: str) -> None:
    """Urgent, high, normal, low: even where the order says the opposite."""
    runs = [
        queued("low", 1, 0, priority="low"), queued("normal", 2, 1), queued("high", 3, 2, priority="high"),
        queued("urgent", 4, 3, priority="urgent"),
    ]  # fmt: skip
    assert order_of(runs, SchedulingPolicy(order=order), now_s=10.0) == ["urgent", "high", "normal", "low"]


def test_waiting_lifts_a_run_through_the_classes_but_never_to_urgent() -> None:
    """A low run two promotion times old stands with high ones; ten do not make it urgent."""
    runs = [queued("old", 50, 0, priority="low"), queued("high", 60, 999, priority="high"), queued("normal", 1, 999)]
    policy = SchedulingPolicy(order="shortest-first", promotion_s=100.0)
    assert order_of(runs, policy, now_s=1000.0) == ["old", "high", "normal"]
    urgent = [*runs, queued("urgent", 900, 999, priority="urgent")]
    assert order_of(urgent, policy, now_s=1000.0)[0] == "urgent"


def test_fair_share_takes_turns_by_what_teams_have_used() -> None:
    """Each placement is charged with its predicted time, so a flood gets every other slot, not all of them."""
    flood = [queued(f"flood-{n}", 10, 0, team="loud") for n in range(4)]
    quiet = [queued(f"quiet-{n}", 10, 5, team="quiet") for n in range(2)]
    taken_by = [name.split("-")[0] for name in order_of([*flood, *quiet], FAIR, now_s=5.0)]
    assert taken_by == ["flood", "quiet", "flood", "quiet", "flood", "flood"]


def test_use_halves_once_per_half_life_and_counts_by_weight() -> None:
    """1000 s two half-lives ago are 250 s now: less than 300 s; at weight 2, 300 s count 150 s."""
    runs = [queued("a", 10, team="a"), queued("b", 10, team="b")]
    use = {"a": TeamUse(decayed_s=1000, as_of_s=0), "b": TeamUse(decayed_s=300, as_of_s=200)}
    policy = SchedulingPolicy(half_life_s=100.0)
    assert order_of(runs, policy, now_s=200.0, use=use) == ["a", "b"]
    weighed = {"b": Quota(weight=2.0)}
    assert order_of(runs, policy, now_s=200.0, use=use, quotas=weighed) == ["b", "a"]
    assert use["a"].plus(50, 100, 100.0) == TeamUse(decayed_s=550, as_of_s=100, spent_s=50)


def test_what_runs_now_counts_as_used() -> None:
    """Else a team that has just started would be served again at once."""
    runs = [queued("a", 10, 0, team="a"), queued("b", 90, 1, team="b")]
    slots = [slot("x", busy=busy("a", 50.0)), slot("free")]
    assert taken(snapshot(runs, slots, now_s=1.0), FAIR) == [("b", "free")]


def test_fair_share_can_stand_around_any_order() -> None:
    """Inside a team the order is the one that was chosen."""
    runs = [queued("early", 90, 0), queued("short", 5, 1)]
    assert order_of(runs, SchedulingPolicy(within_team="first-come")) == ["early", "short"]
    assert order_of(runs, SchedulingPolicy(within_team="shortest-first")) == ["short", "early"]


@pytest.mark.parametrize(
    ("quota", "expected"),
    [(Quota(running=1), 0), (Quota(running=2), 1), (Quota(device_s=40), 0), (Quota(device_s=65), 2), (Quota(), 3)],
)
def test_a_quota_holds_back_what_is_beyond_it(quota: Quota, expected: int) -> None:
    """One of the team's runs holds a slot for 40 s; each further one is charged with 20 s when it is placed."""
    runs = [queued(f"r{n}", 20) for n in range(3)]
    slots = [slot("busy", busy=busy("a", 40.0)), slot("x"), slot("y"), slot("z")]
    assert len(taken(snapshot(runs, slots, quotas={"a": quota}), FIRST)) == expected


def test_a_slot_takes_only_what_it_can_run() -> None:
    """The GPU takes the second in line; a cordoned or busy slot takes nothing."""
    runs = [queued("cpu", 1), queued("gpu", 9, device="cuda")]
    slots = [slot("cordoned", accepts=False), slot("busy", busy=busy("b", 9.0)), slot("gpu", device="cuda")]
    assert taken(snapshot(runs, slots), SHORTEST) == [("gpu", "gpu")]


def test_a_warm_slot_prefers_the_run_whose_set_up_it_saves() -> None:
    """20 s of which 12 are set-up beat 10 s; 30 s of which 12 are set-up do not."""
    cold, near, far = queued("cold", 10), queued("near", 20, affinity="m", setup_s=12), queued("far", 30, affinity="m")
    assert taken(snapshot([cold, near], [slot("f", warm=["m"])]), SHORTEST) == [("near", "f")]
    assert taken(snapshot([cold, far], [slot("f", warm=["m"])]), SHORTEST) == [("cold", "f")]
    assert taken(snapshot([cold, near], [slot("f", warm=["other"])]), SHORTEST) == [("cold", "f")]
    off = SchedulingPolicy(order="shortest-first", affinity=False)
    assert taken(snapshot([cold, near], [slot("f", warm=["m"])]), off) == [("cold", "f")]
    assert taken(snapshot([cold, near], [slot("f", warm=["m"])]), FIRST) == [("cold", "f")]


def test_a_run_that_measures_its_cold_start_is_not_drawn_to_a_warm_slot() -> None:
    """There is nothing to save."""
    runs = [queued("plain", 10), queued("cold", 20, affinity="m", setup_s=15, cold=True)]
    assert taken(snapshot(runs, [slot("f", warm=["m"])]), SHORTEST) == [("plain", "f")]


def test_affinity_does_not_pass_a_class_or_a_team() -> None:
    """A warm run of a lower class, or of a team that has used more, waits its turn."""
    high = [queued("high", 10, priority="high"), queued("warm", 11, affinity="m", setup_s=10)]
    assert taken(snapshot(high, [slot("f", warm=["m"])]), SHORTEST) == [("high", "f")]
    teams = [queued("quiet", 10, team="quiet"), queued("warm", 11, team="loud", affinity="m", setup_s=10)]
    use = {"loud": TeamUse(decayed_s=100)}
    assert taken(snapshot(teams, [slot("f", warm=["m"])], use=use), FAIR) == [("quiet", "f")]


def test_round_robin_binds_to_the_slots_in_turn() -> None:
    """From where it left off, among the slots that can run it."""
    runs = [queued("one", 9, 0), queued("two", 1, 1), queued("three", 1, 2), queued("gpu", 1, 3, device="cuda")]
    slots = [slot("f0", busy=busy("b", 5.0)), slot("f1"), slot("g", device="cuda")]
    decision = decide(snapshot(runs, slots, bound_so_far=1), policy_named("round-robin+first-come"))
    assert [(b.run_id, b.slot.follower) for b in decision.bindings] == [
        ("one", "f1"), ("two", "f0"), ("three", "f1"), ("gpu", "g"),
    ]  # fmt: skip
    assert [(p.run_id, p.slot.follower) for p in decision.placements] == [("one", "f1"), ("gpu", "g")]


def test_queue_aware_binds_to_the_fewest_predicted_seconds() -> None:
    """What runs there counts with its rest, what is bound there with all of it."""
    here = queued("bound", 30, 0, bound_to=key("f1"))
    slots = [slot("f0", busy=busy("b", 25.0)), slot("f1", busy=busy("b", 1.0))]
    decision = decide(snapshot([here, queued("x", 10, 1), queued("y", 1, 2)], slots), policy_named("queue-aware"))
    assert [(b.run_id, b.slot.follower) for b in decision.bindings] == [("x", "f0"), ("y", "f1")]
    assert decision.placements == ()


def test_a_bound_run_waits_for_its_slot_while_another_is_idle() -> None:
    """That is what binding early costs; late binding does not look at old bindings."""
    state = snapshot([queued("x", 1, bound_to=key("f0"))], [slot("f0", busy=busy("b", 99.0)), slot("f1")])
    assert taken(state, policy_named("queue-aware+first-come")) == []
    assert taken(state, policy_named("late-binding+first-come")) == [("x", "f1")]


def test_a_run_bound_to_a_follower_that_is_gone_is_bound_again() -> None:
    """Else it would wait for ever."""
    state = snapshot([queued("x", 1, bound_to=key("gone"))], [slot("f0")])
    assert taken(state, policy_named("round-robin+first-come")) == [("x", "f0")]


@pytest.mark.parametrize("placement", PLACEMENTS)
@pytest.mark.parametrize("order", ORDER_NAMES)
def test_a_claim_gets_what_the_decision_for_all_would_give_it(placement: str, order: str) -> None:
    """With one free slot, asking for it and deciding for all are the same."""
    policy = SchedulingPolicy(placement=placement, order=order)
    slots = [slot("busy", busy=busy("a", 3.0)), slot("free")]
    runs = [queued(f"r{n}", 1 + (n * 7) % 5, n, team="ab"[n % 2]) for n in range(6)]
    state = snapshot(runs, slots, now_s=6.0)
    assert next_for(state, key("free"), policy) == decide(state, policy)
    assert len(decide(state, policy).placements) == 1
    assert next_for(state, key("nobody"), policy).placements == ()


def test_a_decision_says_why() -> None:
    """Class, the team's use, rank, prediction and wait, each with its number."""
    state = snapshot([queued("x", 100, 0)], [slot("f")], now_s=150.0, use={"a": TeamUse(decayed_s=7, as_of_s=150)})
    (placement,) = decide(state, FAIR).placements
    assert {reason.name: reason.value for reason in placement.reasons} == {
        "class": "normal", "team-use": 7.0, "rank": 50.0, "predicted": 100.0, "waited": 150.0, "eligible": 1,
    }  # fmt: skip
    assert all(reason.words for reason in placement.reasons)


def test_nothing_to_do_is_no_decision() -> None:
    """No runs, no slots, or neither."""
    assert decide(snapshot([], [slot("f")])).placements == ()
    assert decide(snapshot([queued("x", 1)], [])).placements == ()


@pytest.mark.parametrize(
    ("text", "placement", "order"),
    [
        ("queue-aware+shortest-first", "queue-aware", "shortest-first"),
        ("shortest-first+queue-aware", "queue-aware", "shortest-first"),
        ("round-robin", "round-robin", "fair-share"),
        ("first-come", "late-binding", "first-come"),
    ],
)
def test_a_policy_is_named_by_its_parts(text: str, placement: str, order: str) -> None:
    """What is not said is the default's."""
    assert policy_named(text) == SchedulingPolicy(placement=placement, order=order)


@pytest.mark.parametrize("text", ["fastest", "late-binding+round-robin", "first-come+", ""])
def test_an_unknown_policy_is_told_with_the_known_ones(text: str) -> None:
    """A typing error in a setting is no KeyError."""
    with pytest.raises(InvalidInput, match="round-robin, queue-aware, late-binding and orders first-come") as caught:
        policy_named(text)
    assert caught.value.problems[0].allowed


@pytest.mark.parametrize(
    "wrong",
    [{"placement": "x"}, {"order": "x"}, {"within_team": "fair-share"}, {"aging": -1}, {"half_life_s": 0}],
)
def test_a_policy_that_cannot_be_is_refused(wrong: dict[str, str]) -> None:
    """Fair share around fair share, negative aging, no half-life."""
    with pytest.raises(InvalidInput):
        SchedulingPolicy(**wrong)  # type: ignore[arg-type]  # wrong on purpose


def test_a_backlog_keeps_its_columns_right_through_adding_and_removing() -> None:
    """However runs come and go, the decision is that of a backlog built afresh."""
    backlog = Backlog()
    for number in range(200):
        backlog.add(queued(f"r{number}", 1 + (number * 37) % 101, number, team=str(number % 3)))
    for number in range(0, 200, 3):
        assert backlog.remove(f"r{number}").run_id == f"r{number}"
    backlog.bind("r1", key("f"))
    assert len(backlog) == 133
    assert "r0" not in backlog
    assert backlog["r1"].bound_to == key("f")
    slots: list[SlotState] = [slot(f"f{n}") for n in range(133)]
    grown = Snapshot(now_s=200.0, backlog=backlog, slots=slots, fits=lambda *_: True)
    fresh = Snapshot(now_s=200.0, backlog=backlog.copy(), slots=slots, fits=lambda *_: True)
    names = [placement.run_id for placement in decide(grown, SHORTEST).placements]
    assert names == [placement.run_id for placement in decide(fresh, SHORTEST).placements]
    assert len(set(names)) == 133


def test_a_run_is_queued_once_and_takes_some_time() -> None:
    """Two runs of one id, or one that takes no time, are mistakes."""
    with pytest.raises(Conflict):
        Backlog.of([queued("x", 1), queued("x", 2)])
    with pytest.raises(InvalidInput):
        queued("x", 0)
    with pytest.raises(InvalidInput, match="known: urgent, high, normal, low"):
        queued("x", 1, priority="whatever")
