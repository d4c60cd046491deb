"""Decisions against a slow and plain reference, over many small random moments."""

from math import floor, inf

from hypothesis import given, settings
from hypothesis import strategies as st
from support.queued_runs import busy, key, queued, same_device, slot, snapshot

from shared.scheduling.backlog import Backlog, Queued, SlotKey
from shared.scheduling.decide import decide, next_for
from shared.scheduling.policy import CLASSES, ORDER_NAMES, PLACEMENTS, SchedulingPolicy
from shared.scheduling.snapshot import Quota, SlotState, Snapshot, TeamUse

NOW_S = 1000.0
TEAMS = ("a", "b", "c")
DEVICES = ("cpu", "cuda")
PROMOTION_S = 400.0

# Backed off long ago, so that nobody is avoided any more; a moment ago; at this moment; not yet.
NOT_BEFORE = st.sampled_from([NOW_S - 300.0, NOW_S - 299.0, NOW_S, NOW_S + 1.0])
AVOID = st.sampled_from([("f0",), ("f1",), ("f0", "f1"), ("gone",)])

RUNS = st.lists(
    st.builds(
        lambda predicted, submitted, team, priority, device, deadline, failed: (
            predicted, submitted, team, priority, device, deadline, *failed,
        ),
        st.integers(1, 50), st.integers(0, 1000), st.sampled_from(TEAMS), st.sampled_from(list(CLASSES)),
        st.sampled_from(DEVICES), st.one_of(st.just(inf), st.integers(1, 2000).map(float)),
        st.one_of(st.just((-inf, ())), st.tuples(NOT_BEFORE, AVOID)),
    ),
    max_size=12,
).map(
    lambda rows: [
        queued(
            f"r{n:02}", float(p), float(s), team=t, priority=c, device=d, deadline_s=e, not_before_s=b, avoid=a
        )
        for n, (p, s, t, c, d, e, b, a) in enumerate(rows)
    ]
)  # fmt: skip
SLOTS = st.lists(st.tuples(st.sampled_from(DEVICES), st.sampled_from([None, *TEAMS]), st.booleans()), max_size=5).map(
    lambda rows: [
        slot(f"f{n}", device=device, busy=busy(team, 1100.0, started_s=900.0) if team else None, accepts=accepts)
        for n, (device, team, accepts) in enumerate(rows)
    ]
)
POLICIES = st.builds(
    lambda order, aging, within: SchedulingPolicy(
        order=order, aging=aging, within_team=within, promotion_s=PROMOTION_S, half_life_s=500.0
    ),
    st.sampled_from(ORDER_NAMES), st.sampled_from([0.0, 0.2, 1.0]),
    st.sampled_from(["first-come", "shortest-first-aged"]),
)  # fmt: skip
USE = st.dictionaries(st.sampled_from(TEAMS), st.integers(0, 400).map(lambda s: TeamUse(decayed_s=s, as_of_s=500.0)))
QUOTAS = st.dictionaries(
    st.sampled_from(TEAMS),
    st.builds(Quota, running=st.one_of(st.none(), st.integers(0, 3)), weight=st.sampled_from([1.0, 2.0])),
)
MOMENTS = st.builds(
    lambda runs, slots, use, quotas: snapshot(runs, slots, now_s=NOW_S, use=use, quotas=quotas),
    RUNS,
    SLOTS,
    USE,
    QUOTAS,
)


def virtual_wait_s(state: Snapshot, run: Queued) -> float:
    """All predicted seconds of its device class, over the slots of that class that take anything new."""
    queued_s = sum(other.predicted_s for other in state.backlog if other.needs == run.needs)
    slots = [one for one in state.slots if one.accepts and same_device(run.needs, one)]
    running_s = sum(max(one.occupant.predicted_end_s - NOW_S, 0.0) for one in slots if one.occupant)
    return (queued_s + running_s) / max(len(slots), 1)


def rank(state: Snapshot, run: Queued, policy: SchedulingPolicy) -> float:
    """The order's number, by its definition."""
    order = policy.within_team if policy.is_fair else policy.order
    waits = (NOW_S - run.submitted_s) / virtual_wait_s(state, run)
    return {
        "first-come": run.submitted_s,
        "shortest-first": run.predicted_s,
        "shortest-first-aged": run.predicted_s / (1 + (policy.aging * waits / 1.5) ** 6),
        "earliest-deadline": run.deadline_s,
    }[order]


def rank_of_class(run: Queued) -> int:
    """Raised by waiting, never to urgent."""
    own = CLASSES[run.priority]
    return own if own == 0 else max(own - floor((NOW_S - run.submitted_s) / PROMOTION_S), 1)


def is_left_to_others(state: Snapshot, run: Queued, one: SlotState) -> bool:
    """Failed by this follower less than five minutes ago, and another could run it, be it busy or not."""
    others = (other for other in state.slots if other.accepts and other.key.follower not in run.avoid)
    is_fresh = run.not_before_s + 300.0 > NOW_S
    return one.key.follower in run.avoid and is_fresh and any(same_device(run.needs, other) for other in others)


def plainly_decided(state: Snapshot, policy: SchedulingPolicy) -> list[tuple[str, str]]:
    """Late binding as it is described: for each free slot the least of what it can run, one after another."""
    left = list(state.backlog)
    running = {team: sum(o.team == team for o in state.occupants()) for team in TEAMS}
    past = {team: state.use.get(team, TeamUse()).decayed_s * 0.5 for team in TEAMS}  # one half-life ago
    used = {team: (past[team] + 200 * running[team]) / state.quota(team).weight for team in TEAMS}
    found = []
    for one in state.slots:
        if one.occupant or not one.accepts:
            continue

        def may(run: Queued, one: SlotState = one) -> bool:
            most = state.quota(run.team).running
            if run.not_before_s > NOW_S or is_left_to_others(state, run, one):
                return False
            return same_device(run.needs, one) and (most is None or running[run.team] < most)

        able = [run for run in left if may(run)]
        if able:
            # equal use is decided by which team was queued first, which is the order of the backlog here
            teams = list(dict.fromkeys(run.team for run in state.backlog))
            first = min(
                able,
                key=lambda run: (
                    rank_of_class(run),
                    (used[run.team], teams.index(run.team)) if policy.is_fair else (0, 0),
                    rank(state, run, policy), run.submitted_s, run.run_id,
                ),
            )  # fmt: skip
            left.remove(first)
            running[first.team] += 1
            used[first.team] += first.predicted_s / state.quota(first.team).weight
            found.append((first.run_id, one.key.follower))
    return found


@settings(max_examples=300)
@given(state=MOMENTS, policy=POLICIES)
def test_a_decision_is_what_the_description_says(state: Snapshot, policy: SchedulingPolicy) -> None:
    """Columns and sorting change nothing about it."""
    found = [(placement.run_id, placement.slot.follower) for placement in decide(state, policy).placements]
    assert found == plainly_decided(state, policy)


@given(state=MOMENTS, order=st.sampled_from(ORDER_NAMES), placement=st.sampled_from(list(PLACEMENTS)))
def test_no_decision_breaks_a_rule(state: Snapshot, order: str, placement: str) -> None:
    """One run a slot, one slot a run, only free slots that can run it, no quota exceeded, nothing changed."""
    policy = SchedulingPolicy(placement=placement, order=order)
    before = sorted(run.run_id for run in state.backlog)
    decision = decide(state, policy)
    slots = {one.key: one for one in state.slots}
    assert len({placed.run_id for placed in decision.placements}) == len(decision.placements)
    assert len({placed.slot for placed in decision.placements}) == len(decision.placements)
    for placed in decision.placements:
        one = slots[placed.slot]
        assert one.occupant is None
        assert one.accepts
        assert same_device(state.backlog[placed.run_id].needs, one)
        assert state.backlog[placed.run_id].not_before_s <= NOW_S
        assert not is_left_to_others(state, state.backlog[placed.run_id], one)
    for team in TEAMS:
        most = state.quota(team).running
        new = sum(state.backlog[placed.run_id].team == team for placed in decision.placements)
        running = sum(occupant.team == team for occupant in state.occupants())
        assert new == 0 or most is None or running + new <= most
    assert sorted(run.run_id for run in state.backlog) == before


@given(state=MOMENTS, policy=POLICIES)
def test_late_binding_leaves_no_slot_idle_beside_a_run_that_it_could_start(
    state: Snapshot, policy: SchedulingPolicy
) -> None:
    """What is left over does not fit any free slot, backs off, is left to others, or is over its team's quota."""
    decision = decide(state, policy)
    taken = {placed.run_id for placed in decision.placements}
    used = {placed.slot for placed in decision.placements}
    for one in state.slots:
        if one.occupant is None and one.accepts and one.key not in used:
            for run in state.backlog:
                is_ready = run.not_before_s <= NOW_S and not is_left_to_others(state, run, one)
                if run.run_id not in taken and is_ready and same_device(run.needs, one):
                    assert state.quota(run.team).running is not None


@given(state=MOMENTS, order=st.sampled_from(ORDER_NAMES), placement=st.sampled_from(["round-robin", "queue-aware"]))
def test_early_binding_binds_every_run_that_can_run_once(state: Snapshot, order: str, placement: str) -> None:
    """To a slot that accepts it; what nobody can run stays unbound, and a claim finds the same bindings."""
    policy = SchedulingPolicy(placement=placement, order=order)
    decision = decide(state, policy)
    slots = {one.key: one for one in state.slots}
    able = {
        run.run_id for run in state.backlog if any(one.accepts and same_device(run.needs, one) for one in state.slots)
    }
    assert sorted(binding.run_id for binding in decision.bindings) == sorted(able)
    for binding in decision.bindings:
        assert slots[binding.slot].accepts
        assert same_device(state.backlog[binding.run_id].needs, slots[binding.slot])
        assert not is_left_to_others(state, state.backlog[binding.run_id], slots[binding.slot])
    if state.slots and len(state.backlog):
        assert next_for(state, state.slots[0].key, policy).bindings == decision.bindings


@given(steps=st.lists(st.tuples(st.sampled_from(["add", "remove", "bind"]), st.integers(0, 9)), max_size=60))
def test_a_backlog_is_the_set_of_what_was_added_and_not_removed(steps: list[tuple[str, int]]) -> None:
    """With the values last written, whatever was moved inside."""
    backlog, kept = Backlog(), dict[str, Queued]()
    bound: dict[str, SlotKey | None] = {}
    for step, (what, number) in enumerate(steps):
        name = f"r{number}"
        if what == "add" and name not in kept:
            kept[name] = queued(name, 1.0 + step, float(step), team=TEAMS[step % 3])
            bound[name] = None
            backlog.add(kept[name])
        elif what == "remove" and name in kept:
            assert backlog.remove(name).predicted_s == kept.pop(name).predicted_s
        elif what == "bind" and name in kept:
            bound[name] = key(f"f{step % 4}")
            backlog.bind(name, bound[name])
    assert {run.run_id for run in backlog} == set(kept)
    rows = backlog.rows()
    for name, run in kept.items():
        row = backlog.row_of(name)
        assert backlog.at(row).run_id == name
        assert backlog[name].bound_to == bound[name]
        assert (rows.predicted_s[row], rows.submitted_s[row]) == (run.predicted_s, run.submitted_s)
        assert backlog.teams.things[rows.team[row]] == run.team
        slot_key = bound[name]
        assert rows.bound[row] == (-1 if slot_key is None else backlog.slots.known(slot_key))
