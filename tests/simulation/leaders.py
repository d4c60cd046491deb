"""Leaders as they really are, on a store in memory: started, killed, held up, their clocks set wrong."""

import asyncio
import itertools
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from leader.app import _loops
from leader.background import Background
from leader.broker.protocol import Bell
from leader.manage.desk import Desk, build_desk
from leader.manage.policy import LeasePolicy
from shared.errors import Unavailable
from simulation.blobs import MemoryBlobs, StoredBlob
from simulation.faults import Choke
from simulation.memory import MemoryStore, perfdb_on
from simulation.virtual_loop import Program, VirtualClock, VirtualLoop

ResultT = TypeVar("ResultT")

MAX_UPLOAD_BYTES: Final = 1_000_000
START_AGAIN_S: Final = 1.0
"""A leader whose store does not answer gives up; whoever supervises it starts it again."""


@dataclass
class Shared:
    """What leaders have in common, and what outlives them."""

    loop: VirtualLoop
    choke: Choke
    policy: LeasePolicy = field(default_factory=lambda: LeasePolicy(poll_s=30.0))
    store: MemoryStore = field(default_factory=MemoryStore)
    contents: dict[str, StoredBlob] = field(default_factory=dict)


class SilentBell:
    """Rings nobody: where a test does not give the leader a bell."""

    failures = 0

    def ring(self, follower: str) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing to stop."""


class SimulatedLeader:
    """One leader's machine. ``desk`` is None while no leader process on it is ready to answer."""

    def __init__(self, name: str, shared: Shared, bell: Callable[[Program], Bell] | None = None) -> None:
        self.name = name
        self.clock = VirtualClock(shared.loop)
        self.desk: Desk | None = None
        self.program: Program | None = None
        self.background: Background | None = None
        self.crashes = 0
        self._shared = shared
        self._bell = bell or (lambda _program: SilentBell())
        self._numbers = itertools.count(1)

    @property
    def is_at_work(self) -> bool:
        """Whether it answers, and at once."""
        return self.desk is not None and self.program is not None and not self.program.is_held_up

    def start(self) -> None:
        """Start a process, which repairs what it finds and then answers. One that lives already goes on."""
        if self.program is not None and self.program.alive:
            return
        self.program = Program(f"{self.name}.{next(self._numbers)}", self._shared.loop)
        self.program.spawn(self._live(self.program)).add_done_callback(_raised)

    def crash(self) -> None:
        """SIGKILL: nothing of it runs any more; what it wrote stays."""
        if self.program is not None and self.program.alive:
            self.crashes += 1
            self.desk = self.background = None
            self.program.kill()

    def crash_and_restart(self, after_s: float) -> None:
        """And somebody starts it again."""
        self.crash()
        self._shared.loop.later(after_s, self.start)

    async def _live(self, program: Program) -> None:
        gate = self._shared.choke.gate(program)
        while True:
            desk = build_desk(
                perfdb=perfdb_on(self._shared.store, gate),
                blobs=MemoryBlobs(self._shared.contents, gate),
                bell=self._bell(program),
                clock=self.clock,
                policy=self._shared.policy,
                broker_url=None,
                max_upload_bytes=MAX_UPLOAD_BYTES,
            )
            try:
                await desk.start()
                break
            except Unavailable:
                await asyncio.sleep(START_AGAIN_S)
        async with Background(_loops(desk), self.clock) as background:
            self.desk, self.background = desk, background
            await self._shared.loop.create_future()  # until it is killed


def _raised(task: "asyncio.Task[None]") -> None:
    """A leader that fails to start is a fault in the leader."""
    if not task.cancelled() and (error := task.exception()) is not None:
        raise error


async def asked(leader: SimulatedLeader, call: Callable[[Desk], Coroutine[Any, Any, ResultT]]) -> ResultT:
    """A request to the leader, answered by a task of its own.

    Raises:
        Unavailable: nobody answers, or the leader dies before it has.
        InferBenchError: what the leader answers.
    """
    if leader.desk is None or leader.program is None:
        raise Unavailable(f"{leader.name} refuses the connection")
    task = leader.program.spawn(call(leader.desk))
    await asyncio.wait([task])
    if task.cancelled():
        raise Unavailable(f"{leader.name} died over the request")
    return task.result()


def close(loop: VirtualLoop, *leaders: SimulatedLeader) -> None:
    """End the leaders, so that nothing of them is left to be collected."""
    for leader in leaders:
        leader.crash()
    loop.run_until(loop.time())
