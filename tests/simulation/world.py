"""Leaders, followers, clients, a store and a network between them, in one virtual world with one source of chance."""

import asyncio
import hashlib
import logging
import secrets
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from random import Random
from typing import Any, Final

import structlog

from follower.agent import events
from shared.wire.assignment import Assignment
from simulation import accounts, settled
from simulation.attempts import Script
from simulation.clients import Client, Plan
from simulation.faults import Choke, Fault, FaultPlan, Operation, no_faults
from simulation.hosts import Around, Host
from simulation.inspector import Inspector
from simulation.laws import Laws
from simulation.leaders import Shared, SimulatedLeader
from simulation.network import Network, Weather
from simulation.virtual_loop import Program, VirtualLoop

MANY_RINGS: Final = 100
LOOK_EVERY_S: Final = 2.0
READ_AT_ONCE: Final = 0.7
REMEMBERED_S: Final = 7.0
"""What leaders remember is at most so old."""


class SimulatedBell:
    """leader.broker.protocol.Bell of one leader process. Rings get lost, and come a hundredfold."""

    failures = 0

    def __init__(self, world: "World", program: Program) -> None:
        self._world = world
        self._program = program

    def ring(self, follower: str) -> None:
        if self._program.alive:
            self._world.carry_ring(follower)

    def close(self) -> None:
        """Nothing to stop."""


@dataclass(frozen=True)
class Size:
    """How large a world is: leaders, slots of each host."""

    leaders: int = 1
    slots: tuple[int, ...] = (1, 2)


class World:
    """``begin`` starts everything; then time passes as its ``loop`` runs. ``faults`` counts what went wrong, by kind.

    ``lines``: every event, where they are asked for.
    """

    def __init__(self, rng: Random, size: Size, *, keep_lines: bool = False) -> None:
        self.rng = rng
        self.loop = VirtualLoop()
        self.faults: Counter[str] = Counter()
        self.lines: list[str] | None = [] if keep_lines else None
        self.clients: list[Client] = []
        self._tasks: list[asyncio.Task[None]] = []
        self.scripts: dict[str, Script] = {}
        self.shared = Shared(self.loop, Choke(self.loop, no_faults, self._store_latency_s))
        self.inspector = Inspector(self.shared.store, self.loop.time, self.tell)
        self.network = Network(self.loop, rng, self.tell, self.faults, disturbed=self._disturbed)
        self.leaders = [
            SimulatedLeader(f"l{number}", self.shared, lambda program: SimulatedBell(self, program))
            for number in range(1, size.leaders + 1)
        ]
        around = Around(
            loop=self.loop,
            rng=rng,
            network=self.network,
            leaders=self.leaders,
            witness=self.inspector,
            script_of=self._script_of,
            tell=self.tell,
            faults=self.faults,
        )
        self.hosts = [Host(f"f{number}", around, slots) for number, slots in enumerate(size.slots, 1)]
        self.shared.choke.tell = self._store_told
        self.shared.choke.reads_at_once = self._reads_at_once
        self.shared.choke.on_crash = self._crashed
        self.laws = Laws(self)

    def tell(self, who: str, what: str) -> None:
        """An event."""
        if self.lines is not None:
            self.lines.append(f"{self.loop.time():10.4f} {who:10} {what}")

    def digest(self) -> str:
        """Of every event, where they were kept."""
        return hashlib.sha256("\n".join(self.lines or ()).encode()).hexdigest()

    # ------------------------------------------------------------------------------------------- beginning, ending

    def begin(self) -> None:
        """Start leaders and agents."""
        for leader in self.leaders:
            leader.start()
        for host in self.hosts:
            self.loop.later(0.1, host.start_agent)

    def submit(self, plan: Plan) -> Client:
        """Somebody submits a job, as planned."""
        client = Client(
            plan,
            network=self.network,
            leaders=self.leaders,
            inspector=self.inspector,
            rng=self.rng,
            tell=self.tell,
        )
        self.clients.append(client)
        self._tasks.append(self.loop.create_task(client.act()))
        return client

    def cancel(self, client: Client) -> None:
        """Somebody changes their mind."""
        client.done = False

        async def act() -> None:
            await client.cancel()
            client.done = True

        self._tasks.append(self.loop.create_task(act()))

    def heal(self) -> None:
        """No more faults; what is down comes up again by itself."""
        self.tell("world", "heals")
        self.network.heal()
        self.shared.choke.plan = no_faults
        for host in self.hosts:
            host.kill_takes_s = 0.05

    def settle(self, within_s: float) -> None:
        """Until nothing goes on any more; says so to the inspector where that takes longer than ``within_s``."""
        deadline_s = self.loop.time() + within_s
        while what := self.unsettled():
            if self.loop.time() > deadline_s:
                self.inspector.broken("I1", f"not settled after {within_s:.0f} s: {what}")
                return
            self.loop.run_until(self.loop.time() + LOOK_EVERY_S)
        self.loop.run_until(self.loop.time() + REMEMBERED_S)

    def unsettled(self) -> str:
        """What goes on."""
        wanting = next((client.name for client in self.clients if not client.done), "")
        return wanting or settled.unsettled(self.shared.store, self.hosts, self.leaders)

    def check(self) -> None:
        """All that must hold once it is settled."""
        settled.check(self.shared.store, self.hosts, self.leaders, self.inspector)
        for promise, what in accounts.faults(self.shared.store):
            self.inspector.broken(promise, what)
        for fault in self.network.unexpected:
            self.inspector.broken("errors", fault)
        for complaint in self.loop.complaints:
            self.inspector.broken("errors", f"{complaint.get('message')}: {complaint.get('exception')!r}")
        for task in self._tasks:
            if task.done() and not task.cancelled() and (error := task.exception()) is not None:
                self.inspector.broken("errors", f"a client failed: {error!r}")

    def end(self) -> None:
        """Let go of everything."""
        for task in self._tasks:
            task.cancel()
        for leader in self.leaders:
            leader.crash()
        for host in self.hosts:
            if host.agent is not None:
                host.agent.die()
        self.loop.run_until(self.loop.time())

    # ------------------------------------------------------------------------------------------- what it is made of

    def _script_of(self, assignment: Assignment) -> Script:
        return self.scripts.setdefault(assignment.run_id, Script.drawn(self.rng))

    def _store_latency_s(self, operation: Operation) -> float:
        del operation
        return 0.0002 + 0.002 * self.rng.random()

    def _reads_at_once(self) -> bool:
        return self.rng.random() < READ_AT_ONCE

    def _store_told(self, operation: Operation, fault: Fault) -> None:
        if fault.kind != "none" or fault.delay_s:
            self.faults[f"store-{fault.kind}"] += 1
            for host in self.hosts:
                self.inspector.disturb(host.name, self.loop.time() + 1 + fault.delay_s)
            self.tell(operation.leader, f"store {operation.name} #{operation.number}: {fault.kind} {fault.delay_s:.2f}")

    def _crashed(self, program: Program) -> None:
        leader = next(leader for leader in self.leaders if leader.program is program)
        self.crash_leader(leader, self.rng.uniform(0.5, 8.0))

    def _disturbed(self, caller: str) -> None:
        self.inspector.disturb(caller, self.loop.time() + self.network.weather.longest_delay_s)

    # ------------------------------------------------------------------------------------------- what may go wrong

    def carry_ring(self, follower: str) -> None:
        """A ring on its way."""
        weather, rng = self.network.weather, self.rng
        if weather.lose_ring and rng.random() < weather.lose_ring:
            self.faults["ring-lost"] += 1
            self.inspector.disturb(follower, self.loop.time() + 1)
            return
        host = next((host for host in self.hosts if host.name == follower), None)
        rings = 1
        if weather.many_rings and rng.random() < weather.many_rings:
            self.faults["many-rings"] += 1
            rings = MANY_RINGS
        for _ in range(rings if host is not None else 0):
            self.loop.later(rng.uniform(0.05, 0.1), host.hear, events.Bell())  # type: ignore[union-attr]

    def crash_leader(self, leader: SimulatedLeader, back_after_s: float) -> None:
        """SIGKILL; another process on that machine begins later."""
        if leader.program is not None and leader.program.alive:
            self.faults["leader-crash"] += 1
            self.tell(leader.name, f"crashes, back in {back_after_s:.1f} s")
            self._disturb_all(back_after_s + 1)
            leader.crash_and_restart(back_after_s)

    def hold_up_leader(self, leader: SimulatedLeader, seconds: float) -> None:
        """Its machine does not run it for a while."""
        if leader.program is not None and leader.program.alive:
            self.faults["leader-held-up"] += 1
            self.tell(leader.name, f"is held up for {seconds:.1f} s")
            self._disturb_all(seconds + 1)
            leader.program.hold_up(seconds)

    def hold_up_host(self, host: Host, seconds: float) -> None:
        """Its agent is not run for a while; the attempts are."""
        self.faults["host-held-up"] += 1
        self.tell(host.name, f"is held up for {seconds:.1f} s")
        self.inspector.held_up(host.name, self.loop.time() + seconds)
        host.hold_up(seconds)

    def pause_host(self, host: Host, seconds: float) -> None:
        """Its whole machine stands still, with its clocks, and does not notice."""
        self.faults["host-paused"] += 1
        self.tell(host.name, f"stands still for {seconds:.1f} s")
        self.inspector.held_up(host.name, self.loop.time() + seconds)
        host.pause(seconds)

    def cut(self, caller: str, leader: SimulatedLeader, way: Any, seconds: float) -> None:
        """Nothing gets through between them, one way (``to``, ``from`` the leader) or ``both``."""
        self.faults["partition"] += 1
        self.tell(caller, f"is cut off from {leader.name} ({way}) for {seconds:.1f} s")
        self.inspector.disturb(caller, self.loop.time() + seconds)
        for one in ("to", "from") if way == "both" else (way,):
            self.network.cut(caller, leader.name, one, seconds)

    def step_clock(self, leader: SimulatedLeader, seconds: float) -> None:
        """Somebody sets its wall clock."""
        self.faults["clock-step"] += 1
        self.tell(leader.name, f"its wall clock is set by {seconds:+.0f} s")
        leader.clock.wrong_by += timedelta(seconds=seconds)

    def _disturb_all(self, seconds: float) -> None:
        for host in self.hosts:
            self.inspector.disturb(host.name, self.loop.time() + seconds)

    def set_weather(self, weather: Weather, plan: FaultPlan) -> None:
        """From now on."""
        self.network.weather = weather
        self.shared.choke.plan = plan


@contextmanager
def drawn_secrets(rng: Random) -> Generator[None]:
    """``secrets`` draws from ``rng``, and nothing is logged."""
    token_bytes, token_hex, configured = secrets.token_bytes, secrets.token_hex, structlog.get_config()
    secrets.token_bytes = lambda nbytes=None: rng.randbytes(nbytes or 32)
    secrets.token_hex = lambda nbytes=None: rng.randbytes(nbytes or 32).hex()
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL), cache_logger_on_first_use=False
    )
    try:
        yield
    finally:
        secrets.token_bytes, secrets.token_hex = token_bytes, token_hex
        structlog.configure(**configured)
