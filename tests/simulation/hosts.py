"""A follower's machine: its devices, its disk, the agent that runs on it now, and the attempts that it started."""

import itertools
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from types import SimpleNamespace
from typing import Any, Final, Protocol

from support.desks import registration

from follower.agent import events
from follower.agent.calls import Calls
from follower.agent.events import AttemptKey, Event
from follower.agent.leader import LeaderClient
from follower.attempt.order import AttemptDir
from shared.jobs.lifecycle import Cause
from shared.wire.assignment import Assignment, Failure, ProgressEvent, Success
from shared.wire.identity import Registration
from simulation.agents import SimulatedAgent
from simulation.attempts import STAMP, STEPS, AttemptProcess, Script
from simulation.disk import Disk, attempt_dir
from simulation.leaders import SimulatedLeader
from simulation.network import Network, Outcome, Request
from simulation.virtual_loop import VirtualClock, VirtualLoop

DEATH_S: Final = 0.2
"""Within this an attempt is gone whose agent died: the kernel ends it."""
BACK_S: Final = 3.0
"""After which a supervisor starts an agent again that left with an error."""
LEADERS_TRIED_FIRST: Final = 0.8
KILLED: Final = Failure(cause=Cause.FOLLOWER_ERROR, detail="the attempt ended without an outcome: killed")
NO_OUTCOME: Final = Failure(cause=Cause.FOLLOWER_ERROR, detail="the attempt ended without an outcome")


class Witness(Protocol):
    """Whoever watches the devices."""

    def attempt_started(self, process: AttemptProcess) -> None: ...

    def attempt_ended(self, process: AttemptProcess) -> None: ...


@dataclass
class Around:
    """What is around a host. ``with_samples``: attempts leave files of samples, too."""

    loop: VirtualLoop
    rng: Random
    network: Network
    leaders: Sequence[SimulatedLeader]
    witness: Witness
    script_of: Callable[[Assignment], Script]
    tell: Callable[[str, str], None]
    faults: Counter[str]
    with_samples: bool = False


class Host:
    """One machine. ``kill_takes_s``: how long an attempt outlives the order to end."""

    def __init__(self, name: str, around: Around, slots: int = 1) -> None:
        self.name = name
        self.around = around
        self.registration = _registration(name, slots)
        self.clock = VirtualClock(around.loop)
        self.kill_takes_s = 0.05
        self.held_up_until_s = 0.0
        self.lost_s = 0.0
        self._still_until_s = 0.0
        self.agent: SimulatedAgent | None = None
        self.processes: dict[AttemptKey, AttemptProcess] = {}
        self.disk = Disk()
        self.orders: dict[AttemptKey, SimpleNamespace] = {}
        self.errors: list[str] = []
        self._numbers = itertools.count(1)

    @property
    def now_ns(self) -> int:
        return round((self.around.loop.time() - self.lost_s) * 1e9)

    @property
    def is_held_up(self) -> bool:
        return self.around.loop.time() < self.held_up_until_s

    # ------------------------------------------------------------------------------------------ the agent

    def start_agent(self) -> None:
        """Start one, unless one runs; what an earlier one left running is ended first."""
        if self.agent is not None:
            return
        for process in list(self.processes.values()):
            self._end(process)
        self.agent = SimulatedAgent(self, f"{self.name}-i{next(self._numbers)}")
        self.around.tell(self.name, f"agent {self.agent.incarnation} starts, {len(self.orders)} left over")
        self.agent.feed(events.Started(tuple(sorted(self.orders))))

    def kill_agent(self, back_after_s: float) -> None:
        """SIGKILL: its attempts follow, its disk stays, and somebody starts it again."""
        if self.agent is not None:
            self.around.tell(self.name, f"agent {self.agent.incarnation} is killed")
            self._lose_agent(back_after_s)

    def stop_agent(self, back_after_s: float) -> None:
        """SIGTERM; started again when it is gone, and some time later."""
        if self.agent is not None:
            self.around.tell(self.name, f"agent {self.agent.incarnation} is asked to stop")
            self.agent.feed(events.StopRequested())
            self.around.loop.later(back_after_s, self.start_agent)

    def agent_left(self, agent: SimulatedAgent, error: str | None) -> None:
        """It exits, and ends its attempts with it."""
        self.around.tell(self.name, f"agent {agent.incarnation} leaves: {error}")
        if error is not None:
            self.errors.append(error)
        self._lose_agent(BACK_S)

    def _lose_agent(self, back_after_s: float) -> None:
        if self.agent is not None:
            self.agent.die()
        self.agent = None
        for process in list(self.processes.values()):
            process.dying = True
            self.around.loop.later(self.around.rng.uniform(0.0, DEATH_S), self._end, process)
        self.around.loop.later(back_after_s, self.start_agent)

    def hold_up(self, seconds: float) -> None:
        """The agent does nothing meanwhile; its attempts go on."""
        self.held_up_until_s = max(self.held_up_until_s, self.around.loop.time() + seconds)
        self.around.loop.later(seconds, self._go_on)

    def pause(self, seconds: float) -> None:
        """The whole machine stands still, with its attempts and its clocks, and does not notice."""
        self.hold_up(seconds)
        now_s = self.around.loop.time()
        still_until_s = max(self._still_until_s, now_s + seconds)
        lost_s = still_until_s - max(self._still_until_s, now_s)
        self._still_until_s = still_until_s
        self.lost_s += lost_s
        for process in self.processes.values():
            process.delayed_s += lost_s

    def _go_on(self) -> None:
        if self.agent is not None and not self.is_held_up:
            self.agent.catch_up()

    def hear(self, event: Event) -> None:
        """Something for the agent, if there is one."""
        if self.agent is not None:
            self.agent.feed(event)

    # ------------------------------------------------------------------------------------- what it asks leaders

    def calls(self, client: LeaderClient, who: Registration, clock: Callable[[], int]) -> Calls:
        """The agent's calls, on this machine's clocks."""
        return Calls(client, who, clock, self.clock.utc_now)

    def ask(self, name: str, request: Request, timeout_s: float, done: Callable[[Outcome], None]) -> None:
        """Over the network, to one of the leaders."""
        around = self.around
        first = around.leaders[sum(self.name.encode()) % len(around.leaders)]
        leader = first if around.rng.random() < LEADERS_TRIED_FIRST else around.rng.choice(around.leaders)
        around.network.ask(self.name, leader, request, name=name, timeout_s=timeout_s, done=done)

    # ------------------------------------------------------------------------------------------ attempts

    def directory(self, key: AttemptKey) -> AttemptDir:
        """Where an attempt works."""
        directory = attempt_dir(self.disk, _place(key))
        order = self.orders.get(key)
        return directory if order is None else _Ordered(directory.root, order)

    def start_attempt(self, agent: SimulatedAgent, key: AttemptKey, slot: str, assignment: Assignment) -> None:
        """Take the device and begin."""
        script = self.around.script_of(assignment)
        process = AttemptProcess(self.name, slot, key, agent.incarnation, assignment, script, self.around.loop.time())
        self.orders[key] = SimpleNamespace(incarnation=agent.incarnation, assignment=assignment)
        directory = self.directory(key)
        directory.root.mkdir()
        directory.order.write_bytes(b"{}")
        self.processes[key] = process
        self.around.tell(self.name, f"attempt {process} starts: {script.kind}, {script.duration_s:.1f} s")
        self.around.witness.attempt_started(process)
        for n, kind in enumerate(STEPS, 1):
            self.around.loop.later(script.duration_s * n / 4, self._progress, process, n, kind)
        self.around.loop.later(script.duration_s, self._act, process)

    def _progress(self, process: AttemptProcess, n: int, kind: str) -> None:
        if process.ended_s is None and self.agent is not None and self.agent.incarnation == process.incarnation:
            told = ProgressEvent(n=n, at=STAMP, kind=kind, message="scripted")
            self.agent.feed(events.AttemptProgressed(process.key, told))

    def _act(self, process: AttemptProcess) -> None:
        """What the script ends with, unless something else has ended it before."""
        if process.ended_s is not None:
            return
        if process.delayed_s:
            delay_s, process.delayed_s = process.delayed_s, 0.0
            self.around.loop.later(delay_s, self._act, process)
            return
        if process.script.kind == "poison" and not process.dying:
            self.around.tell(self.name, f"attempt {process} kills its follower")
            self.kill_agent(BACK_S)
            return
        outcome = None if process.dying else process.script.outcome(process.assignment, self.name, process.slot)
        if isinstance(outcome, Success) and self.around.with_samples:
            self.directory(process.key).samples.write_bytes(b"samples")
        if outcome is not None:
            self.directory(process.key).outcome.write_bytes(outcome.model_dump_json().encode())
        self._end(process)
        self._exited(process, None if outcome is not None else NO_OUTCOME)

    def kill_attempt(self, key: AttemptKey, last_word: Failure | None) -> None:
        """SIGKILL, which may take its time."""
        if last_word is not None:
            self.directory(key).last_word.write_bytes(last_word.model_dump_json().encode())
        process = self.processes.get(key)
        if process is not None:
            process.dying = True
            self.around.loop.later(self.kill_takes_s, self._killed, process)

    def _killed(self, process: AttemptProcess) -> None:
        if process.ended_s is None:
            self._end(process)
            self._exited(process, KILLED)

    def _exited(self, process: AttemptProcess, failure: Failure | None) -> None:
        if self.agent is not None and self.agent.incarnation == process.incarnation:
            self.agent.feed(events.AttemptExited(process.key, failure))

    def _end(self, process: AttemptProcess) -> None:
        """The device is free."""
        if process.ended_s is None:
            process.ended_s = self.around.loop.time()
            del self.processes[process.key]
            self.around.tell(self.name, f"attempt {process} is gone")
            self.around.witness.attempt_ended(process)

    def forget(self, key: AttemptKey) -> None:
        """Nothing of the attempt is left on the disk."""
        self.disk.remove(_place(key))
        self.orders.pop(key, None)


class _Ordered(AttemptDir):
    """An attempt's directory whose order is known."""

    def __init__(self, root: Any, order: Any) -> None:
        super().__init__(root)
        object.__setattr__(self, "_order", order)

    def read_order(self) -> Any:
        return self._order  # type: ignore[attr-defined]


def _place(key: AttemptKey) -> str:
    return f"{key.run_id}.a{key.attempt}.f{key.fence}"


def _registration(name: str, slots: int) -> Registration:
    return registration(name, slots=slots).model_copy(update={"home": f"home of {name}"})
