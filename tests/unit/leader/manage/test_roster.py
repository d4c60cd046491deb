"""The kept list of followers: young enough to find that a job can run, and read anew when it must be."""

from support.clocks import FakeClock

from leader.manage.roster import FRESH_NS, Roster
from leader.perfdb.entities import Follower


class CountingStore:
    """Counts how often the list is read."""

    def __init__(self) -> None:
        self.reads = 0

    async def all(self) -> list[Follower]:
        self.reads += 1
        return []


def roster() -> tuple[Roster, CountingStore, FakeClock]:
    """A roster over a store without followers, and a clock that stands still."""
    store, clock = CountingStore(), FakeClock()
    return Roster(store, clock), store, clock  # type: ignore[arg-type]  # the one method that a roster calls


async def test_a_burst_reads_the_list_once() -> None:
    """Within a second the list that was read is good enough."""
    known, store, _ = roster()
    for _ in range(20):
        await known.recent()
    assert store.reads == 1


async def test_an_old_list_is_read_again() -> None:
    """After a second another leader may have registered somebody."""
    known, store, clock = roster()
    await known.recent()
    clock.advance(FRESH_NS / 1e9 + 0.1)
    await known.recent()
    assert store.reads == 2


async def test_a_registration_is_seen_at_once() -> None:
    """Forgetting makes the next look read, however young the list is."""
    known, store, _ = roster()
    await known.recent()
    known.forget()
    await known.recent()
    assert store.reads == 2


async def test_the_current_list_is_always_read() -> None:
    """A refusal never rests on what is kept."""
    known, store, _ = roster()
    await known.recent()
    await known.current()
    assert store.reads == 2
