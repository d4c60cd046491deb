"""What can go wrong between a leader and the store, and the choke point where it does."""

import asyncio
import itertools
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from types import FrameType
from typing import Any, Final, Literal, TypeVar

from pymongo.errors import AutoReconnect, NetworkTimeout

from simulation.virtual_loop import Program, VirtualLoop

ResultT = TypeVar("ResultT")

_LEADER: Final = "leader.manage"
_MOST_FRAMES: Final = 60


@dataclass(slots=True)
class Operation:
    """One call of a leader to the store. ``number`` counts writes of all leaders, from 1; a read has 0."""

    leader: str
    name: str  # "runs.update_one", "blobs.put"
    at_s: float
    number: int = 0

    @property
    def is_write(self) -> bool:
        return self.number > 0

    def caller(self) -> str:
        """The leader's methods that led here, outermost first. To be asked for while a plan decides, not later."""
        return " > ".join(reversed(_callers(sys._getframe(1))))


def _callers(frame: FrameType | None) -> list[str]:
    found: list[str] = []
    for _ in range(_MOST_FRAMES):
        if frame is None:
            break
        if frame.f_globals.get("__name__", "").startswith(_LEADER):
            found.append(frame.f_code.co_qualname)
        frame = frame.f_back
    return found


FaultKind = Literal["none", "fail-before", "fail-after", "fail-late", "crash-before", "crash-after", "crash-late"]


@dataclass(frozen=True)
class Fault:
    """What happens to one operation.

    ``fail-before``: it is not done, and an error is reported. ``fail-after``: it is done, and an error is reported.
    ``fail-late``: an error is reported, and ``delay_s`` later it is done. ``crash-…``: the same, but instead of an
    error the leader that asked for it is gone at that moment. ``none``: it is done. But for what is late, all of that
    happens ``delay_s`` later than otherwise.
    """

    kind: FaultKind = "none"
    delay_s: float = 0.0


NO_FAULT: Final = Fault()
FAIL_BEFORE: Final = Fault("fail-before")
FAIL_AFTER: Final = Fault("fail-after")
CRASH_BEFORE: Final = Fault("crash-before")
CRASH_AFTER: Final = Fault("crash-after")

FaultPlan = Callable[[Operation], Fault]
"""Decides on every operation before it is done."""


def no_faults(operation: Operation) -> Fault:
    """Everything goes well."""
    del operation
    return NO_FAULT


@dataclass
class Choke:
    """The one point that every operation of every leader passes: counts writes, asks the plan, carries out faults."""

    loop: VirtualLoop
    plan: FaultPlan = no_faults
    latency_s: Callable[[Operation], float] = field(default=lambda _operation: 0.001)
    numbers: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))
    reads_at_once: Callable[[], bool] = lambda: False
    """Whether a read is done at once and without a fault; in a long simulation that saves much time."""
    tell: Callable[[Operation, Fault], None] | None = None
    on_crash: Callable[[Program], None] = Program.kill

    def gate(self, program: Program) -> "LeaderGate":
        """Where this leader's operations come in."""
        return LeaderGate(self, program)


class LeaderGate:
    """simulation.memory.Gate of one leader."""

    def __init__(self, choke: Choke, program: Program) -> None:
        self._choke = choke
        self._program = program

    async def read(self, name: str, effect: Callable[[], ResultT]) -> ResultT:
        if self._program.alive and self._choke.reads_at_once():
            return effect()
        return await self._do(Operation(self._program.name, name, self._choke.loop.time()), effect)

    async def write(self, name: str, effect: Callable[[], ResultT]) -> ResultT:
        number = next(self._choke.numbers) if self._program.alive else 0
        return await self._do(Operation(self._program.name, name, self._choke.loop.time(), number), effect)

    async def _do(self, operation: Operation, effect: Callable[[], ResultT]) -> ResultT:
        choke = self._choke
        if not self._program.alive:
            raise asyncio.CancelledError(f"{self._program.name} is gone")
        fault = choke.plan(operation)
        if choke.tell is not None:
            choke.tell(operation, fault)
        delay_s = choke.latency_s(operation) + (0.0 if fault.kind.endswith("late") else fault.delay_s)
        if delay_s > 0:
            await choke.loop.pause(delay_s)
        if fault.kind == "none":
            return effect()
        raise await self._failed(operation, fault, effect)

    async def _failed(self, operation: Operation, fault: Fault, effect: Callable[[], Any]) -> Exception:
        """What is reported, unless there is nobody left to report it to."""
        when = fault.kind.rpartition("-")[2]
        if when == "after":
            effect()
        elif when == "late":
            self._choke.loop.later(fault.delay_s, _quietly, effect)
        if fault.kind.startswith("crash"):
            self._choke.on_crash(self._program)
            await self._choke.loop.create_future()  # for ever: it is cancelled with its program
        error = NetworkTimeout if when == "late" else AutoReconnect
        return error(f"injected: {operation.name} {fault.kind}")


def _quietly(effect: Callable[[], Any]) -> None:
    """Nobody waits for the answer any more."""
    try:
        effect()
    except Exception as error:
        if type(error).__module__.startswith("pymongo"):
            return
        raise
