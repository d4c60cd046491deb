"""How long queues are: worked by hand, and for slots that share work in part."""

import pytest
from support.queued_runs import busy, queued, same_device, slot, snapshot

from shared.scheduling.backlog import Backlog, Queued
from shared.scheduling.needs import Need, Needs
from shared.scheduling.snapshot import SlotState, Snapshot
from shared.scheduling.virtual_wait import virtual_waits


def waits(state: Snapshot) -> dict[str, float]:
    """Run -> its virtual wait."""
    found = virtual_waits(state)
    return {run.run_id: float(found[state.backlog.row_of(run.run_id)]) for run in state.backlog}


def test_a_virtual_wait_is_all_work_over_all_slots() -> None:
    """30 s queued and 10 s left of what runs, on two slots; what is overdue has nothing left."""
    slots = [slot("f", busy=busy("b", 110.0)), slot("g", busy=busy("b", 90.0))]
    assert waits(snapshot([queued("x", 10), queued("y", 20)], slots, now_s=100.0)) == {"x": 20.0, "y": 20.0}


def test_a_device_class_has_a_queue_of_its_own() -> None:
    """One cuda slot with 60 s before it, three cpu slots with 6 s; a cordoned slot takes nothing of it."""
    slots = [slot(name) for name in "fgh"] + [slot("c", device="cuda"), slot("d", device="cuda", accepts=False)]
    runs = [queued("x", 6), queued("y", 40, device="cuda"), queued("z", 20, device="cuda")]
    assert waits(snapshot(runs, slots)) == {"x": 2.0, "y": 60.0, "z": 60.0}


def test_without_a_slot_one_is_assumed() -> None:
    """Nobody could take the run now; its wait is measured all the same."""
    assert waits(snapshot([queued("x", 6), queued("y", 4)], [])) == {"x": 10.0, "y": 10.0}


def test_an_empty_queue_has_no_waits() -> None:
    """Nor does it fail."""
    assert len(virtual_waits(snapshot([], [slot("f")]))) == 0


def holding(*followers: str) -> Needs:
    """A need that these followers meet."""
    return (Need("any of", " ".join(followers)),)


def is_named(needs: Needs, slot: SlotState) -> bool:
    """Whether the need names the slot's follower."""
    return slot.key.follower in needs[0].value.split()


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1), (1, 2, 0)])
def test_slots_that_share_work_by_way_of_others_are_one_queue(order: tuple[int, ...]) -> None:
    """Runs for f or g and for g or h share three slots; one for i has its own. In whatever order they came."""
    given = [
        Queued(run_id="x", predicted_s=30, submitted_s=0, needs=holding("f", "g")),
        Queued(run_id="y", predicted_s=60, submitted_s=0, needs=holding("g", "h")),
        Queued(run_id="z", predicted_s=7, submitted_s=0, needs=holding("i")),
    ]
    slots = [slot(name, busy=busy("b", 9.0) if name == "h" else None) for name in "fghi"]
    state = Snapshot(now_s=0.0, backlog=Backlog.of(given[n] for n in order), slots=slots, fits=is_named)
    assert waits(state) == {"x": 33.0, "y": 33.0, "z": 7.0}


def test_needs_that_no_run_has_any_more_count_for_nothing() -> None:
    """The backlog remembers them; their slots are not drawn into the pool."""
    backlog = Backlog.of([queued("x", 10), queued("gone", 500, device="cuda")])
    backlog.remove("gone")
    state = Snapshot(now_s=0.0, backlog=backlog, slots=[slot("f"), slot("c", device="cuda")], fits=same_device)
    assert waits(state) == {"x": 10.0}
