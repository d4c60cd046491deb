"""Which cores serve and which load."""

from hypothesis import given
from hypothesis import strategies as st

from follower.inventory.slots import cpu_slots
from shared.wire.identity import Slot


def only(slots: tuple[Slot, ...]) -> Slot:
    """The one slot."""
    (slot,) = slots
    return slot


def test_two_cores_are_one_for_each_side() -> None:
    """The first loads, the second serves."""
    slot = only(cpu_slots([(0,), (1,)]))
    assert (slot.client_cores, slot.server_cores) == ((0,), (1,))


def test_a_single_core_is_shared() -> None:
    """It is said, not hidden: both sides name the same core."""
    slot = only(cpu_slots([(3,)]))
    assert slot.client_cores == slot.server_cores == (3,)


def test_a_quarter_of_sixteen_cores_loads() -> None:
    """Four load, twelve serve."""
    slot = only(cpu_slots([(core,) for core in range(16)]))
    assert (len(slot.client_cores), len(slot.server_cores)) == (4, 12)


def test_threads_of_one_core_stay_on_one_side() -> None:
    """They share execution units, so a sender on one would disturb a server on the other."""
    slot = only(cpu_slots([(0, 4), (1, 5), (2, 6), (3, 7)]))
    assert (slot.client_cores, slot.server_cores) == ((0, 4), (1, 2, 3, 5, 6, 7))


def test_two_threads_of_the_only_core_are_parted_all_the_same() -> None:
    """Better two threads than one for both."""
    slot = only(cpu_slots([(0, 1)]))
    assert (slot.client_cores, slot.server_cores) == ((0,), (1,))


@given(st.integers(2, 256))
def test_every_core_is_used_exactly_once(count: int) -> None:
    """From two cores on, both sides have some and none is in both."""
    slot = only(cpu_slots([(core,) for core in range(count)]))
    assert sorted([*slot.client_cores, *slot.server_cores]) == list(range(count))
    assert 1 <= len(slot.client_cores) <= len(slot.server_cores)
