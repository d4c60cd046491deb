"""Which run a free slot takes, and how long it is expected to take."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.followers import CPU_FOLLOWER, CPU_SLOT, GPU_SLOT, run_spec

from shared.errors import InvalidInput
from shared.scheduling.choose import choose
from shared.scheduling.needs import needs_of
from shared.scheduling.order import POLICIES, PRIORITIES, Candidate, order

CPU_NEEDS = needs_of(run_spec())
LTE_NEEDS = needs_of(run_spec(network="lte"))


def candidate(run_id: str, predicted: float, seq: int, priority: str = "normal") -> Candidate:
    """A run that the usual follower can run."""
    return Candidate(run_id=run_id, predicted_s=predicted, submitted_seq=seq, needs=CPU_NEEDS, priority=priority)


QUEUE = [
    candidate("long", 100, 1), candidate("short", 5, 4), candidate("also-short", 5, 3),
    candidate("urgent", 500, 5, "high"), candidate("idle", 1, 2, "low"),
]  # fmt: skip


def ids(policy: str) -> list[str]:
    """The queue in the order of a policy."""
    return [candidate.run_id for candidate in order(QUEUE, policy)]


def test_shortest_first_takes_the_shortest_and_then_the_oldest() -> None:
    """Within a priority class; a class comes before any other consideration."""
    assert ids("shortest-first") == ["urgent", "also-short", "short", "long", "idle"]


def test_first_come_takes_the_oldest() -> None:
    """Within a priority class."""
    assert ids("first-come") == ["urgent", "long", "also-short", "short", "idle"]


@pytest.mark.parametrize("policy", POLICIES)
@given(shuffled=st.permutations(QUEUE))
def test_an_order_is_total_and_loses_nobody(policy: str, shuffled: list[Candidate]) -> None:
    """However the queue arrives, the same runs come out in the same order."""
    assert order(shuffled, policy) == order(QUEUE, policy)
    assert {c.run_id for c in order(shuffled, policy)} == {c.run_id for c in QUEUE}


def test_an_unknown_policy_or_priority_is_told_with_the_known_ones() -> None:
    """A typing error in a setting is no KeyError."""
    with pytest.raises(InvalidInput, match="known: first-come, shortest-first"):
        order(QUEUE, "fastest")
    with pytest.raises(InvalidInput, match="known: high, normal, low"):
        order([candidate("x", 1, 1, "urgent")])


def test_every_priority_of_the_job_file_has_a_rank() -> None:
    """The schema and the scheduler name the same classes."""
    assert set(PRIORITIES) == {"low", "normal", "high"}


def test_a_slot_takes_the_first_run_that_it_can_run() -> None:
    """A shorter one that needs what the follower lacks stays where it is."""
    other = Candidate(run_id="lte", predicted_s=1, submitted_seq=0, needs=LTE_NEEDS)
    assert choose([other, *QUEUE[:2]], CPU_FOLLOWER, CPU_SLOT) == "short"
    assert choose([other, *QUEUE[:2]], CPU_FOLLOWER, CPU_SLOT, policy="first-come") == "long"


def test_a_slot_that_can_run_nothing_takes_nothing() -> None:
    """An empty queue, a queue for others, a slot with the wrong device."""
    assert choose([], CPU_FOLLOWER, CPU_SLOT) is None
    assert choose(QUEUE, CPU_FOLLOWER, GPU_SLOT) is None
