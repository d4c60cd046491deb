"""One seed, one storm: a small world, what its clients want, and everything that goes wrong before it calms down."""

import contextlib
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from random import Random
from typing import Final

from shared.errors import Unavailable
from simulation.clients import Plan
from simulation.faults import NO_FAULT, Fault, FaultKind, FaultPlan, Operation
from simulation.hosts import Host
from simulation.leaders import SimulatedLeader
from simulation.network import Weather
from simulation.world import Size, World, drawn_secrets

CALM_S: Final = 1.0
"""At the beginning, so that everybody is registered."""
STORM_S: Final = 25.0
SETTLE_WITHIN_S: Final = 900.0
MOST_RUNS: Final = 6
HOUR_S: Final = 3600.0

_WRITE_FAULTS: Final[tuple[FaultKind, ...]] = ("fail-before", "fail-after", "fail-late", "none")
_CRASHES: Final[tuple[FaultKind, ...]] = ("crash-before", "crash-after", "crash-late")


@dataclass(frozen=True)
class Outcome:
    """What came of a seed."""

    seed: int
    faults: Counter[str]
    violations: tuple[str, ...]
    virtual_s: float
    cpu_s: float
    digest: str = ""
    lines: tuple[str, ...] = field(default=(), repr=False)

    @property
    def fault_count(self) -> int:
        return sum(self.faults.values())


def run_seed(seed: int, *, keep_lines: bool = False) -> Outcome:
    """Play the seed's storm to its end. The same seed always gives the same outcome, to the last event."""
    rng, began_s = Random(seed), time.process_time()
    with drawn_secrets(Random(seed + 1)):
        world = _world(rng, keep_lines=keep_lines)
        try:
            _play(world)
        finally:
            world.end()
    return Outcome(
        seed=seed,
        faults=world.faults,
        violations=tuple(world.inspector.violations),
        virtual_s=world.loop.time(),
        cpu_s=time.process_time() - began_s,
        digest=world.digest() if keep_lines else "",
        lines=tuple(world.lines or ()),
    )


def _world(rng: Random, *, keep_lines: bool) -> World:
    slots = tuple(rng.choice((1, 1, 2)) for _ in range(rng.choice((2, 2, 3))))
    return World(rng, Size(leaders=rng.choice((1, 1, 2)), slots=slots), keep_lines=keep_lines)


def _play(world: World) -> None:
    world.begin()
    world.loop.run_until(CALM_S)
    for plan in plans(world.rng):
        world.submit(plan)
    world.set_weather(weather(world.rng), store_faults(world.rng))
    for at_s, incident in incidents(world):
        world.loop.run_until(at_s)
        incident()
    world.loop.run_until(CALM_S + STORM_S)
    world.heal()
    world.settle(SETTLE_WITHIN_S)
    world.check()


def plans(rng: Random) -> list[Plan]:
    """What the clients want: 4 to 6 runs in all."""
    found: list[Plan] = []
    left = rng.choice((4, 4, 5, MOST_RUNS))
    while left > 0:
        runs = min(left, rng.choice((1, 1, 2, 3, 5)))
        left -= runs
        found.append(
            Plan(
                key=f"key-{len(found)}",
                runs=runs,
                as_sweep=rng.random() < 0.5,
                at_s=rng.uniform(0.0, 0.4 * STORM_S),
                cancel_after_s=rng.uniform(0.0, 15.0) if rng.random() < 0.25 else None,
                submits_again=rng.random() < 0.3,
                tries_other_body=rng.random() < 0.1,
            )
        )
    return found


def weather(rng: Random) -> Weather:
    """Some kinds of mishap on the network, each rare or frequent."""

    def chance(most: float) -> float:
        return rng.choice((0.0, most / 4, most))

    return Weather(
        lose=chance(0.16),
        lose_answer=chance(0.16),
        delay=chance(0.2),
        longest_delay_s=rng.choice((1.0, 7.0)),
        duplicate=chance(0.25),
        lose_ring=chance(0.5),
        many_rings=chance(0.02),
    )


def store_faults(rng: Random) -> FaultPlan:
    """Some kinds of mishap between leaders and the store, each rare."""
    failing = rng.choice((0.0, 0.01, 0.03))
    crashing = rng.choice((0.0, 0.003, 0.01))
    reading = rng.choice((0.0, 0.005, 0.015))

    def plan(operation: Operation) -> Fault:
        drawn = rng.random()
        if not operation.is_write:
            return Fault("fail-before") if drawn < reading else NO_FAULT
        if drawn < crashing:
            return Fault(rng.choice(_CRASHES), rng.uniform(0.0, 2.0))
        if drawn < crashing + failing:
            return Fault(rng.choice(_WRITE_FAULTS), rng.uniform(0.0, 3.0))
        return NO_FAULT

    return plan


Incident = Callable[[], None]


def incidents(world: World) -> list[tuple[float, Incident]]:
    """What happens to whom, and when."""
    rng = world.rng
    times = sorted(rng.uniform(CALM_S, CALM_S + STORM_S) for _ in range(rng.randint(5, 9)))
    return [(at_s, _incident(world)) for at_s in times]


def _incident(world: World) -> Incident:
    rng = world.rng
    host, leader = rng.choice(world.hosts), rng.choice(world.leaders)
    make = rng.choices([make for make, _ in _INCIDENTS], [weight for _, weight in _INCIDENTS])[0]
    return make(world, host, leader, rng)


Make = Callable[[World, Host, SimulatedLeader, Random], Incident]


def _partition(world: World, host: Host, leader: SimulatedLeader, rng: Random) -> Incident:
    way, seconds = rng.choice(("to", "from", "both")), rng.choice((4.0, 12.0, 25.0, 40.0))
    cut_off = world.leaders if rng.random() < 0.5 else [leader]

    def incident() -> None:
        for one in cut_off:
            world.cut(host.name, one, way, seconds)

    return incident


def _agent_killed(world: World, host: Host, _leader: SimulatedLeader, rng: Random) -> Incident:
    back_after_s = rng.choice((0.5, 3.0, 25.0))

    def incident() -> None:
        world.faults["agent-killed"] += 1
        world.inspector.disturb(host.name, world.loop.time() + back_after_s)
        host.kill_agent(back_after_s)

    return incident


def _agent_stopped(world: World, host: Host, _leader: SimulatedLeader, rng: Random) -> Incident:
    back_after_s = rng.uniform(1.0, 20.0)

    def incident() -> None:
        world.faults["agent-stopped"] += 1
        host.stop_agent(back_after_s)

    return incident


def _host_held_up(world: World, host: Host, _leader: SimulatedLeader, rng: Random) -> Incident:
    seconds = rng.choice((2.0, 10.0, 30.0))
    return lambda: world.hold_up_host(host, seconds)


def _host_paused(world: World, host: Host, _leader: SimulatedLeader, rng: Random) -> Incident:
    seconds = rng.choice((5.0, 14.0, 30.0))
    return lambda: world.pause_host(host, seconds)


def _slow_kills(world: World, host: Host, _leader: SimulatedLeader, _rng: Random) -> Incident:
    def incident() -> None:
        world.faults["slow-kills"] += 1
        host.kill_takes_s = 2.5

    return incident


def _leader_crash(world: World, _host: Host, leader: SimulatedLeader, rng: Random) -> Incident:
    back_after_s = rng.choice((0.5, 5.0, 25.0))
    return lambda: world.crash_leader(leader, back_after_s)


def _leader_held_up(world: World, _host: Host, leader: SimulatedLeader, rng: Random) -> Incident:
    seconds = rng.choice((1.0, 5.0, 20.0))
    return lambda: world.hold_up_leader(leader, seconds)


def _clock_step(world: World, _host: Host, leader: SimulatedLeader, rng: Random) -> Incident:
    step_s = rng.choice((-HOUR_S, HOUR_S, -20.0, 20.0))
    return lambda: world.step_clock(leader, step_s)


def _host_clock_step(world: World, host: Host, _leader: SimulatedLeader, rng: Random) -> Incident:
    step = timedelta(seconds=rng.choice((-HOUR_S, HOUR_S)))

    def incident() -> None:
        world.faults["host-clock-step"] += 1
        host.clock.wrong_by += step

    return incident


def _twice(world: World, _host: Host, leader: SimulatedLeader, _rng: Random) -> Incident:
    """What leaders do now and then by themselves, out of turn and twice at once."""

    def incident() -> None:
        desk, program = leader.desk, leader.program
        if desk is not None and program is not None:
            world.faults["sweeps-twice"] += 1
            for sweep in (desk.reaper.run_once, desk.reconciler.run_once) * 2:
                program.spawn(_quietly(sweep))

    return incident


_INCIDENTS: Final[tuple[tuple[Make, int], ...]] = (
    (_partition, 6),
    (_agent_killed, 4),
    (_agent_stopped, 2),
    (_host_held_up, 3),
    (_host_paused, 1),
    (_slow_kills, 1),
    (_leader_crash, 3),
    (_leader_held_up, 3),
    (_clock_step, 3),
    (_host_clock_step, 1),
    (_twice, 3),
)
"""What may happen, and how often against the rest."""


async def _quietly(sweep: Callable[[], object]) -> None:
    with contextlib.suppress(Unavailable):
        await sweep()  # type: ignore[misc]  # a coroutine
