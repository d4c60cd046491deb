"""Messages between leaders and those who ask them: late, lost, doubled, and cut off on one way or both.

A request travels to the leader, is answered by a task of that leader, and the answer travels back. Whoever asked hears
exactly once: the answer, or Unavailable when it has waited long enough or the connection broke.
"""

from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final, Literal

from leader.manage.desk import Desk
from shared.errors import InferBenchError, Unavailable
from simulation.leaders import SimulatedLeader
from simulation.virtual_loop import VirtualLoop

Request = Callable[[Desk], Coroutine[Any, Any, Any]]
Outcome = Any
"""What a leader answered, or the InferBenchError that it answered with."""

Way = Literal["to", "from"]
SERVER_ERROR: Final = 500
BROKEN_S: Final = 0.05
"""Until the caller notices that the other side is gone."""


@dataclass
class Weather:
    """Chances of each mishap per message; all zero is fine weather."""

    lose: float = 0.0
    lose_answer: float = 0.0
    delay: float = 0.0
    longest_delay_s: float = 6.0
    duplicate: float = 0.0
    lose_ring: float = 0.0
    many_rings: float = 0.0


@dataclass
class Network:
    """Carries requests.

    ``unexpected``: what leaders raised that is no answer. ``disturbed``: who was, and when. ``heard``: who got which
    answer to what.
    """

    loop: VirtualLoop
    rng: Random
    tell: Callable[[str, str], None]
    faults: Counter[str]
    weather: Weather = field(default_factory=Weather)
    unexpected: list[str] = field(default_factory=list)
    disturbed: Callable[[str], None] = lambda _caller: None
    heard: Callable[[str, str, Outcome], None] = lambda _caller, _name, _outcome: None
    _cut: dict[tuple[str, str, Way], float] = field(default_factory=dict)

    def cut(self, caller: str, leader: str, way: Way, seconds: float) -> None:
        """Nothing gets through on this way until then."""
        until_s = self.loop.time() + seconds
        self._cut[caller, leader, way] = max(until_s, self._cut.get((caller, leader, way), 0.0))

    def heal(self) -> None:
        """Fine weather, and every way open."""
        self.weather = Weather()
        self._cut.clear()

    def is_open(self, caller: str, leader: str, way: Way) -> bool:
        return not self._cut or self._cut.get((caller, leader, way), 0.0) <= self.loop.time()

    def ask(
        self,
        caller: str,
        leader: SimulatedLeader,
        request: Request,
        *,
        name: str,
        timeout_s: float,
        done: Callable[[Outcome], None],
    ) -> None:
        """Send a request; ``done`` is called once, with what came of it."""
        exchange = Exchange(self, caller, leader, request, name, done)
        exchange.timer = self.loop.later(timeout_s, exchange.end, Unavailable(f"{name}: no answer"))
        self._carry(exchange, exchange.arrive)
        if self._happens("duplicate", self.weather.duplicate, exchange):
            self._carry(exchange, exchange.arrive)

    def answer(self, exchange: "Exchange", outcome: Outcome) -> None:
        """Send the answer back."""
        if not self.is_open(exchange.caller, exchange.leader.name, "from"):
            self.lost("answer-cut-off", exchange)
        elif self._happens("answer-lost", self.weather.lose_answer, exchange):
            return
        else:
            self.loop.later(self._latency_s(exchange), exchange.end, outcome)

    def _carry(self, exchange: "Exchange", arrive: Callable[[], None]) -> None:
        if not self._happens("request-lost", self.weather.lose, exchange):
            self.loop.later(self._latency_s(exchange), arrive)

    def _latency_s(self, exchange: "Exchange") -> float:
        if self._happens("delayed", self.weather.delay, exchange):
            return self.rng.uniform(0.1, self.weather.longest_delay_s)
        return self.rng.uniform(0.0005, 0.003)

    def _happens(self, what: str, chance: float, exchange: "Exchange") -> bool:
        if chance <= 0 or self.rng.random() >= chance:
            return False
        self.lost(what, exchange)
        return True

    def lost(self, what: str, exchange: "Exchange") -> None:
        """A message met a mishap."""
        self.faults[what] += 1
        self.disturbed(exchange.caller)
        self.tell(exchange.caller, f"{what}: {exchange.name} at {exchange.leader.name}")


@dataclass
class Exchange:
    """One request and its answer."""

    network: Network
    caller: str
    leader: SimulatedLeader
    request: Request
    name: str
    done: Callable[[Outcome], None]
    timer: Any = None
    ended: bool = False

    def arrive(self) -> None:
        """At the leader, which may be gone."""
        network = self.network
        if not network.is_open(self.caller, self.leader.name, "to"):
            network.lost("request-cut-off", self)
        elif self.leader.desk is None or self.leader.program is None:
            network.disturbed(self.caller)
            network.loop.later(BROKEN_S, self.end, Unavailable(f"{self.leader.name} refuses the connection"))
        else:
            task = self.leader.program.spawn(self._answered(self.leader.desk))
            task.add_done_callback(self._finished)

    async def _answered(self, desk: Desk) -> Outcome:
        try:
            return await self.request(desk)
        except InferBenchError as error:
            return error if error.status < SERVER_ERROR else Unavailable(f"{self.name}: {error.detail}")

    def _finished(self, task: Any) -> None:
        network = self.network
        if task.cancelled():
            network.disturbed(self.caller)
            network.loop.later(BROKEN_S, self.end, Unavailable(f"{self.leader.name} died over {self.name}"))
        elif (fault := task.exception()) is not None:
            network.unexpected.append(f"{self.name} at {self.leader.name}: {fault!r}")
            network.answer(self, Unavailable(f"{self.name}: {fault!r}"))
        else:
            network.answer(self, task.result())

    def end(self, outcome: Outcome) -> None:
        """The caller hears, unless it has heard already."""
        if self.ended:
            return
        self.ended = True
        self.timer.cancel()
        self.network.tell(self.caller, f"{self.name} at {self.leader.name} -> {told(outcome)}")
        self.network.heard(self.caller, self.name, outcome)
        self.done(outcome)


def told(outcome: Outcome) -> str:
    """In a few words."""
    if isinstance(outcome, InferBenchError):
        return f"{type(outcome).__name__}: {outcome.detail[:80]}"
    return str(type(outcome).__name__)
