"""A world in which one story is played, every point is named and counted, and somebody may die at one of them."""

import asyncio
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from random import Random
from typing import Any, Final, Literal
from unittest.mock import patch

from follower.agent.events import Instruction
from leader.manage.policy import LeasePolicy
from leader.perfdb import schema
from shared.errors import Conflict
from shared.jobs.lifecycle import RunState
from shared.wire.assignment import Assignment
from simulation import accounts, leaders
from simulation.actors import StoryClient, StoryNetwork, WatchedFiles
from simulation.agents import SimulatedAgent
from simulation.attempts import Script
from simulation.blobs import MemoryBlobs
from simulation.cues import Changed, Instructed, News
from simulation.documents import Document
from simulation.faults import NO_FAULT, Fault, FaultKind, Operation
from simulation.grid import grid_on
from simulation.hosts import Host
from simulation.network import Outcome
from simulation.plots import Story
from simulation.points import Actor, Point, change_told, disk_told, instruction_told, phase_of, store_method
from simulation.seeds import CALM_S
from simulation.stories import BY_NAME
from simulation.virtual_loop import _PROGRAM, Program, VirtualLoop
from simulation.world import Size, World, drawn_secrets

SEED: Final = 1
POLL_S: Final = 6.0
"""Slots ask so often, besides when the bell rings: a run that is to be retried waits no longer."""
ASKED_AGAIN_S: Final = 2.0
"""A run that was claimed so much longer ago than otherwise when it began was given only to a second question."""
MOVING: Final = "MongoRuns._matched"
"""The store's method that knows, of a move that may have happened, whether it has."""

When = Literal["before", "after", "fails-before", "fails-after"]
"""Somebody dies on this side of a point; or nobody does, and a store write fails that was not done, or was."""


@dataclass(frozen=True)
class Crash:
    """Who dies at which of its points, on which side of it, and after how long it is started again."""

    actor: Actor
    number: int
    when: When
    back_after_s: float

    def __str__(self) -> str:
        return f"{self.actor} {self.number} {self.when} {self.back_after_s:g}"


_FAULTS: Final[Mapping[When, FaultKind]] = {
    "before": "crash-before",
    "after": "crash-after",
    "fails-before": "fail-before",
    "fails-after": "fail-after",
}


class Died(BaseException):
    """The agent is dead: nothing that it was about to do happens."""


class Stage(World):
    """``points``: all that were reached, while nobody died. ``crashed``: the point at which somebody did."""

    def __init__(self, story: Story, attempt: int, crash: Crash | None, *, keep_lines: bool = False) -> None:
        super().__init__(Random(SEED), Size(leaders=story.leaders, slots=story.slots), keep_lines=keep_lines)
        self.story = story
        self.attempt = attempt
        self.crash = crash
        self.points: list[Point] = []
        self.crashed: str | None = None
        self.failed_method = ""
        self.conflicts = 0
        self.slowest_start_s = 0.0
        self._claimed_s: dict[str, float] = {}
        self._count = {"leader": 0, "follower": 0}
        self._by_task: dict[Any, Point] = {}
        self._waiting_for = list(story.incidents)
        self.shared.policy = LeasePolicy(poll_s=POLL_S)
        self.shared.choke.plan = self._plan
        self.shared.store.watchers.append(self._changed)
        self.network = self.hosts[0].around.network = StoryNetwork(self)
        self.laws.listen()
        self._laws_hear, self.network.heard = self.network.heard, self._heard
        for host in self.hosts:
            host.kill_takes_s = story.kill_takes_s
            host.disk.files = WatchedFiles(self, host)
            host.around.with_samples = story.uploads_in_full

    # ---------------------------------------------------------------------------------------------- the story

    def play(self) -> None:
        """From the beginning until nothing goes on any more."""
        self.begin()
        self.loop.run_until(CALM_S)
        for number, wanted in enumerate(self.story.wanted):
            self._send(StoryClient(self, number, wanted))
        self.settle(900.0)
        self.check()
        jobs = self.shared.store.table(schema.JOBS).documents
        if len(jobs) > len(self.story.wanted):
            self.inspector.broken("I4", f"{len(self.story.wanted)} jobs were wanted, and there are {sorted(jobs)}")
        deaths = sum(leader.crashes for leader in self.leaders) + (self.failed_method != "")
        if self.story.uploads_in_full:
            for promise, what in accounts.files(self.shared.store, self.loop, deaths=deaths):
                self.inspector.broken(promise, what)

    def _send(self, client: "StoryClient") -> None:
        self.clients.append(client)
        self._tasks.append(self.loop.create_task(client.act()))

    def _script_of(self, assignment: Assignment) -> Script:
        return self.story.script_of(assignment, self.attempt)

    def hear(self, news: News) -> None:
        """Something happened: whose cue it is acts as soon as it is done."""
        for client in self.clients:
            if isinstance(client, StoryClient):
                client.hear(news)
        for incident in [incident for incident in self._waiting_for if incident[0](news, self.attempt)]:
            self._waiting_for.remove(incident)
            self.loop.call_soon(incident[1], self, self._host_of(news))

    def _host_of(self, news: News) -> Host:
        """The follower that it is about; the first where it is about none."""
        name = news.host if isinstance(news, Instructed) else (news.after or {}).get("follower")
        return next((host for host in self.hosts if host.name == name), self.hosts[0])

    # ------------------------------------------------------------------------------------- the leader's points

    def _plan(self, operation: Operation) -> Fault:
        delay_s = self.story.delay_s(operation) if self.story.delay_s else 0.0
        if operation.is_write:
            when = self._reach("leader", operation.leader, lambda: f"{phase_of(operation.caller())}: {operation.name}")
            if when is not None:
                self.failed_method = store_method()
                return Fault(_FAULTS[when], delay_s)
        return Fault("none", delay_s) if delay_s else NO_FAULT

    def _changed(self, name: str, before: Document | None, after: Document | None) -> None:
        point = self._by_task.get(_current_task())
        if point is not None and (told := change_told(name, before, after)):
            point.changes.append(told)
        if name == schema.RUNS and before is not None and after is not None:
            self._claimed_or_begun(after["_id"], before["status"]["state"], after["status"]["state"])
        self.hear(Changed(name, before, after))

    def _claimed_or_begun(self, run_id: str, was: str, state: str) -> None:
        if (was, state) == (RunState.QUEUED.value, RunState.CLAIMED.value):
            self._claimed_s[run_id] = self.loop.time()
        elif was == RunState.CLAIMED.value and state != was:
            self.slowest_start_s = max(self.slowest_start_s, self.loop.time() - self._claimed_s[run_id])

    def carry_ring(self, follower: str) -> None:
        """A publish is a point, too."""
        program = _PROGRAM.get()
        ring = Operation(program.name if program else "", "ring", self.loop.time())
        when = self._reach("leader", ring.leader, lambda: f"{phase_of(ring.caller())}: ring")
        if when != "before" and not self.story.deaf:
            super().carry_ring(follower)
        if when is not None and program is not None:
            self._crashed(program)

    def _crashed(self, program: Program) -> None:
        leader = next(leader for leader in self.leaders if leader.program is program)
        self.crash_leader(leader, self.crash.back_after_s if self.crash else 1.0)

    def _heard(self, caller: str, name: str, outcome: Outcome) -> None:
        self.conflicts += isinstance(outcome, Conflict)
        self._laws_hear(caller, name, outcome)

    def _reads_at_once(self) -> bool:
        return True

    # ----------------------------------------------------------------------------------- the follower's points

    def instructed(self, agent: SimulatedAgent, instruction: Instruction) -> When | None:
        """An agent comes to an instruction."""
        told = instruction_told(instruction)
        if told is None:
            return None
        self.hear(Instructed(agent.host.name, instruction, self.loop.time()))
        return self._reach("follower", agent.host.name, lambda: told)

    def on_disk(self, host: Host, place: str, *, is_removal: bool) -> When | None:
        """A host's disk is about to change."""
        return self._reach("follower", host.name, lambda: disk_told(place, is_removal=is_removal))

    def agent_dies(self, host: Host) -> None:
        """At a point. Raises Died."""
        self.kill_agent(host, self.crash.back_after_s if self.crash else 1.0)
        raise Died

    def kill_agent(self, host: Host, back_after_s: float) -> None:
        """SIGKILL; what is left on its disk and cannot be read is removed at the next start."""
        self.faults["agent-killed"] += 1
        self.inspector.disturb(host.name, self.loop.time() + back_after_s)
        host.kill_agent(back_after_s)

    # -------------------------------------------------------------------------------------------------- points

    def _reach(self, actor: Actor, who: str, name: Callable[[], str]) -> When | None:
        """Whether whoever reaches this point dies of it. Its name takes time: it is asked for where it is needed."""
        self._count[actor] += 1
        number = self._count[actor]
        if self.crash is None:
            point = Point(actor, number, who, self.loop.time(), name(), store_method())
            self.points.append(point)
            self._by_task[_current_task()] = point
        elif self.crashed is None and (actor, number) == (self.crash.actor, self.crash.number):
            self.crashed = name()
            self.tell("stage", f"{who} dies {self.crash.when} {self.crashed}")
            return self.crash.when
        return None


def _current_task() -> Any:
    try:
        return asyncio.current_task()
    except RuntimeError:
        return None


@contextmanager
def watched(stage: Stage) -> Generator[None]:
    """Agents on this stage die where they should, and whoever runs the loop hears nothing of it."""
    carry_out, turn = SimulatedAgent._carry_out, VirtualLoop._turn

    def carried_out(agent: SimulatedAgent, instruction: Instruction) -> None:
        when = stage.instructed(agent, instruction)
        if when != "before":
            carry_out(agent, instruction)
        if when is not None:
            stage.agent_dies(agent.host)

    def turned(loop: VirtualLoop, until_s: float | None) -> bool:
        try:
            return turn(loop, until_s)
        except Died:
            return True

    blobs = grid_on(stage.shared.store) if stage.story.uploads_in_full else MemoryBlobs
    with (
        drawn_secrets(Random(SEED)),
        patch.object(SimulatedAgent, "_carry_out", carried_out),
        patch.object(VirtualLoop, "_turn", turned),
        patch.object(leaders, "MemoryBlobs", blobs),
    ):
        yield


@dataclass(frozen=True)
class Played:
    """What came of a story."""

    points: tuple[Point, ...]
    conflicts: int
    slowest_start_s: float
    attempts: dict[str, int]
    violations: tuple[str, ...]
    virtual_s: float
    lines: tuple[str, ...]


def play(story: Story, attempt: int = 1, crash: Crash | None = None, *, keep_lines: bool = False) -> Played:
    """Play the story to its end. The same always comes of it."""
    stage = Stage(story, attempt, crash, keep_lines=keep_lines)
    with watched(stage):
        try:
            stage.play()
            if crash is not None and stage.crashed is None:
                stage.inspector.broken("points", f"{crash}: there is no such point")
        finally:
            stage.end()
    runs = stage.shared.store.table(schema.RUNS).documents
    tried = {run_id: int(run["status"]["attempt"]) for run_id, run in runs.items()}
    if crash is not None and crash.when == "fails-after" and stage.failed_method == MOVING:
        smooth = undisturbed(story.name, attempt)
        waited_s = stage.slowest_start_s - smooth.slowest_start_s
        if stage.conflicts > smooth.conflicts or tried != smooth.attempts or waited_s > ASKED_AGAIN_S:
            stage.inspector.broken("read-back", f"a move that was done was taken for lost: attempts {tried}")
    found = tuple(stage.inspector.violations)
    return Played(
        tuple(stage.points),
        stage.conflicts,
        stage.slowest_start_s,
        tried,
        found,
        stage.loop.time(),
        tuple(stage.lines or ()),
    )


@lru_cache(maxsize=64)
def undisturbed(story: str, attempt: int) -> Played:
    """The story without a death."""
    return play(BY_NAME[story], attempt)
