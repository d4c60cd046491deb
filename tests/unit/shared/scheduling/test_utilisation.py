"""What slots are at, and which stand idle beside work: by hand, and against every way to fill them."""

from collections import Counter
from dataclasses import replace
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.queued_runs import DEVICE, busy, key, queued, slot, snapshot

from shared.scheduling.avoidance import AVOID_S
from shared.scheduling.backlog import Queued
from shared.scheduling.decide import decide
from shared.scheduling.needs import Needs
from shared.scheduling.policy import SchedulingPolicy
from shared.scheduling.snapshot import Quota, SlotState, Snapshot, TeamUse
from shared.scheduling.utilisation import SlotUse, idle_with_work, slot_uses


def starved(state: Snapshot) -> list[str]:
    """Followers of the slots that stand idle beside work."""
    return [one.key.follower for one in idle_with_work(state)]


def test_one_waiting_run_starves_one_of_two_idle_slots() -> None:
    """The other would stand idle whatever the scheduler did."""
    state = snapshot([queued("x", 1)], [slot("f"), slot("g")])
    assert starved(state) == ["f"]
    assert slot_uses(state) == {("cpu", SlotUse.IDLE_WHILE_ELIGIBLE): 1, ("cpu", SlotUse.IDLE): 1}


def test_a_run_that_needs_another_device_starves_nothing() -> None:
    """Each device class is told apart."""
    state = snapshot([queued("x", 1, device="cuda")], [slot("f"), slot("g", device="cuda", busy=busy("a", 9.0))])
    assert slot_uses(state) == {("cpu", SlotUse.IDLE): 1, ("cuda", SlotUse.BUSY): 1}


def test_cordoned_and_unreachable_slots_are_what_they_are() -> None:
    """A cordoned one that finishes something is busy; work that waits is no claim on either."""
    slots = [slot("f", accepts=False), slot("g", accepts=False, busy=busy("a", 9.0))]
    silent = slot("h").slot
    assert silent is not None
    assert slot_uses(snapshot([queued("x", 1)], slots), [silent, silent]) == {
        ("cpu", SlotUse.CORDONED): 1,
        ("cpu", SlotUse.BUSY): 1,
        ("cpu", SlotUse.UNREACHABLE): 2,
    }


@pytest.mark.parametrize(
    "held_back",
    [
        {"not_before_s": 100.5},
        {"team": "full"},
        {"team": "spent"},
        {"not_before_s": 99.0, "avoid": ("f",)},
    ],
    ids=["backs-off", "running-quota", "device-quota", "left-to-another"],
)
def test_a_run_that_may_not_start_now_starves_nothing(held_back: dict[str, object]) -> None:
    """It backs off, its team is at a quota, or the only free slot is of a follower that failed it."""
    run = replace(queued("x", 1), **held_back)  # type: ignore[arg-type]  # fields of Queued
    quotas = {"full": Quota(running=1), "spent": Quota(device_s=60.0)}
    state = snapshot(
        [run], [slot("f"), slot("g", busy=busy("full", 200.0))], now_s=100.0, quotas=quotas,
        use={"spent": TeamUse(spent_s=60.0)},
    )  # fmt: skip
    assert starved(state) == []
    assert starved(replace(state, now_s=100.0 + AVOID_S)) == (["f"] if "not_before_s" in held_back else [])


def test_a_run_that_is_bound_elsewhere_starves_an_idle_slot() -> None:
    """That is what binding early costs."""
    state = snapshot([queued("x", 1, bound_to=key("f"))], [slot("f", busy=busy("a", 9.0)), slot("g")])
    assert starved(state) == ["g"]


def test_late_binding_leaves_nothing_starved() -> None:
    """Once its placements are made: two runs for two classes, three slots."""
    state = snapshot([queued("x", 1), queued("y", 1, device="cuda")], [slot("f"), slot("g"), slot("h", device="cuda")])
    for placed in decide(state, SchedulingPolicy()).placements:
        state.backlog.remove(placed.run_id)
        slots = [replace(s, occupant=busy("a", 9.0)) if s.key == placed.slot else s for s in state.slots]
        state = replace(state, slots=slots)
    assert slot_uses(state) == {("cpu", SlotUse.BUSY): 1, ("cpu", SlotUse.IDLE): 1, ("cuda", SlotUse.BUSY): 1}


def by_name(needs: Needs, slot: SlotState) -> bool:
    """A run names the followers that can run it."""
    return slot.key.follower in dict(needs)[DEVICE].split(",")


FOLLOWERS = ("f0", "f1", "f2", "f3", "f4")
ABLE = st.lists(st.sampled_from(FOLLOWERS), unique=True, max_size=3).map(lambda names: ",".join(sorted(names)))
RUNS = st.lists(ABLE, max_size=6).map(lambda able: [queued(f"r{n}", 1.0, device=each) for n, each in enumerate(able)])


def most(runs: list[Queued], free: tuple[str, ...]) -> int:
    """How many of the slots can be given a run at once, by trying everything."""

    @cache
    def fill(number: int, slots: frozenset[str]) -> int:
        if number == len(runs):
            return 0
        able = slots & set(dict(runs[number].needs)[DEVICE].split(","))
        return max([fill(number + 1, slots), *(1 + fill(number + 1, slots - {name}) for name in able)])

    return fill(0, frozenset(free))


@given(RUNS, st.lists(st.sampled_from(FOLLOWERS), unique=True))
def test_as_many_slots_are_starved_as_could_be_filled_at_once(runs: list[Queued], free: list[str]) -> None:
    """No more and no fewer, whoever can run what; each of them could start something."""
    slots = [slot(name, busy=None if name in free else busy("a", 9.0)) for name in FOLLOWERS]
    state = replace(snapshot(runs, slots), fits=by_name)
    found = starved(state)
    assert len(set(found)) == len(found) == most(runs, tuple(free))
    assert all(name in free and any(by_name(run.needs, slot(name)) for run in runs) for name in found)


def test_every_slot_is_counted_once() -> None:
    """Many slots of several kinds beside a queue: the counts add up."""
    slots = [slot(f"f{n}", device=("cpu", "cuda")[n % 2], busy=busy("a", 9.0) if n % 3 else None) for n in range(100)]
    runs = [queued(f"r{n}", 1.0, device="cuda") for n in range(7)]
    found = slot_uses(snapshot(runs, slots))
    assert found == Counter(
        {
            ("cpu", SlotUse.BUSY): 33, ("cuda", SlotUse.BUSY): 33,
            ("cpu", SlotUse.IDLE): 17, ("cuda", SlotUse.IDLE): 10, ("cuda", SlotUse.IDLE_WHILE_ELIGIBLE): 7,
        }
    )  # fmt: skip
    assert found.total() == len(slots)
