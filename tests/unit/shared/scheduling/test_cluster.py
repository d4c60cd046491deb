"""Followers in virtual time, event by event: ends, deaths, warm slots, use."""

import pytest
from support.queued_runs import busy, key, queued, same_device, slot

from shared.scheduling.cluster import REQUEUE_S, Cluster, Ended
from shared.scheduling.policy import SchedulingPolicy, policy_named

FIRST = SchedulingPolicy(order="first-come")
BACKOFF_S = 2.0  # after a first failure


def cluster(*followers: str, policy: SchedulingPolicy = FIRST, **true_s: float) -> Cluster:
    """Followers with a free slot each, and how long runs really take."""
    slots = {key(name): slot(name) for name in followers}
    return Cluster(policy=policy, slots=slots, fits=same_device, true_s=true_s)


def played(world: Cluster) -> list[Ended]:
    """Everything that ends, in order."""
    found: list[Ended] = []
    while True:
        world.settle()
        ended = world.advance()
        if ended is None:
            return found
        found += ended


def test_a_run_takes_its_true_time_whatever_was_predicted() -> None:
    """The policy sees 1 s; the slot is taken for 9."""
    world = cluster("f", x=9.0, y=2.0)
    world.arrive(queued("x", 1.0, 3.0), 3.0)
    world.arrive(queued("y", 1.0, 4.0), 4.0)
    assert played(world) == [Ended("x", 3.0, 12.0), Ended("y", 12.0, 14.0)]


def test_what_happens_at_one_moment_is_seen_together() -> None:
    """Two arrivals at 0: shortest-first takes the shorter although it came second."""
    world = cluster("f", policy=SchedulingPolicy(order="shortest-first"), x=5.0, y=1.0)
    world.arrive(queued("x", 5.0), 0.0)
    world.arrive(queued("y", 1.0), 0.0)
    assert [end.run_id for end in played(world)] == ["y", "x"]


def test_a_death_cuts_the_run_off_and_queues_it_again() -> None:
    """Dead at 4 s: 4 s are wasted, it starts again elsewhere after lease and back-off; its old end means nothing."""
    world = cluster("f", "g", x=10.0, y=6.0)
    world.arrive(queued("x", 10.0), 0.0)
    world.arrive(queued("y", 6.0), 0.0)
    world.die(key("f"), 4.0, 1000.0)
    again_s = 4.0 + REQUEUE_S + BACKOFF_S
    assert played(world) == [Ended("y", 0.0, 6.0), Ended("x", again_s, again_s + 10.0)]
    assert world.wasted_s == 4.0


def test_a_run_that_a_follower_failed_waits_for_another_and_not_for_ever() -> None:
    """The survivor is busy until 1000 s. The one that died is back at 100 s and gets the run when 300 s are over."""
    world = cluster("f", "g", x=10.0, y=1000.0)
    world.arrive(queued("x", 10.0), 0.0)
    world.arrive(queued("y", 1000.0), 0.0)
    world.die(key("f"), 4.0, 100.0)
    start_s = 4.0 + REQUEUE_S + BACKOFF_S + 300.0
    assert played(world) == [Ended("x", start_s, start_s + 10.0), Ended("y", 0.0, 1000.0)]


def test_a_run_that_backs_off_is_started_at_its_moment() -> None:
    """Although nothing else happens then, and a slot that waits for nothing else is not idle beside work."""
    world = cluster("f", x=10.0)
    world.arrive(queued("x", 10.0, not_before_s=30.0), 5.0)
    assert played(world) == [Ended("x", 30.0, 40.0)]
    assert world.idle_while_waiting_s == 0.0


def test_each_death_doubles_the_back_off() -> None:
    """Two deaths on the only follower: 2 s, then 4 s behind the lease."""
    world = cluster("f", x=10.0)
    world.arrive(queued("x", 10.0), 0.0)
    world.die(key("f"), 4.0, 5.0)
    first_s = 4.0 + REQUEUE_S + 2.0
    world.die(key("f"), first_s + 1.0, first_s + 2.0)
    second_s = first_s + 1.0 + REQUEUE_S + 4.0
    assert played(world) == [Ended("x", second_s, second_s + 10.0)]


def test_a_follower_that_returns_is_used_again() -> None:
    """Its run waits for it where there is no other."""
    world = cluster("f", x=10.0)
    world.arrive(queued("x", 10.0), 0.0)
    world.die(key("f"), 4.0, 100.0)
    assert played(world) == [Ended("x", 100.0, 110.0)]


def test_a_run_bound_to_a_dead_follower_is_bound_to_another() -> None:
    """Early binding does not wait for the dead."""
    world = cluster("f", "g", policy=policy_named("round-robin+first-come"), x=10.0, y=10.0, z=10.0)
    for name in ("x", "y", "z"):
        world.arrive(queued(name, 10.0), 0.0)
    world.die(key("f"), 1.0, 1000.0)
    assert [end.run_id for end in played(world)] == ["y", "z", "x"]


def test_a_warm_slot_saves_the_set_up_in_truth_too() -> None:
    """The second run of the same model is 3 s shorter, one that measures its cold start is not."""
    world = cluster("f", x=10.0, y=10.0, z=10.0)
    for n, name in enumerate("xyz"):
        world.arrive(queued(name, 10.0, float(n), affinity="m", setup_s=3.0, cold=name == "z"), float(n))
    assert [end.ended_s for end in played(world)] == [10.0, 17.0, 27.0]


def test_a_slot_that_was_busy_at_the_start_is_held_to_its_end() -> None:
    """Its use is charged to its team for all of its time."""
    world = cluster("f", x=5.0)
    world.now_s = 100.0
    world.hold(slot("f", busy=busy("b", 130.0, started_s=90.0)), 30.0)
    world.arrive(queued("x", 5.0, 100.0), 100.0)
    assert played(world) == [Ended("running", 90.0, 130.0), Ended("x", 130.0, 135.0)]
    assert world.use["b"].decayed_s == 40.0
    assert world.use["a"].spent_s == 5.0


@pytest.mark.parametrize(("placement", "idle_s"), [("round-robin", 8.0), ("late-binding", 0.0)])
def test_idle_time_counts_only_while_a_run_waits_that_the_slot_could_do(placement: str, idle_s: float) -> None:
    """Run x holds f for 10 s, z is bound to f too; g has done y after 2 s and stands idle beside z for 8 s."""
    world = cluster("f", "g", policy=policy_named(f"{placement}+first-come"), x=10.0, y=2.0, z=1.0)
    for name in "xyz":
        world.arrive(queued(name, 5.0), 0.0)
    played(world)
    assert world.idle_while_waiting_s == idle_s
