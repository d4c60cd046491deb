"""Each fault of the store does what it says, and the leader that it kills is gone."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from pymongo.errors import AutoReconnect, NetworkTimeout, PyMongoError

from shared.errors import Unavailable
from simulation.faults import (
    CRASH_AFTER,
    CRASH_BEFORE,
    FAIL_AFTER,
    FAIL_BEFORE,
    NO_FAULT,
    Choke,
    Fault,
    Operation,
)
from simulation.leaders import Shared, SimulatedLeader, asked, close
from simulation.memory import MemoryStore
from simulation.virtual_loop import Program, VirtualLoop


@dataclass
class Scene:
    """One program that writes once, through a choke point."""

    loop: VirtualLoop = field(default_factory=VirtualLoop)
    store: MemoryStore = field(default_factory=MemoryStore)
    told: list[str] = field(default_factory=list)
    seen: list[Operation] = field(default_factory=list)

    def play(self, fault: Fault, until_s: float = 1.0) -> None:
        """The write meets the fault."""

        def plan(operation: Operation) -> Fault:
            self.seen.append(operation)
            return fault

        program = Program("p", self.loop)
        gate = Choke(self.loop, plan).gate(program)
        table = self.store.table("things")

        async def work() -> None:
            try:
                await gate.write("things.insert_one", lambda: table.insert({"_id": "x"}))
                self.told.append("done")
            except PyMongoError as error:
                self.told.append(type(error).__name__)
            await asyncio.sleep(0)
            self.told.append("went on")

        program.spawn(work())
        self.loop.run_until(until_s)

    @property
    def is_done(self) -> bool:
        return "x" in self.store.table("things").documents


@pytest.mark.parametrize(
    ("fault", "is_done", "told"),
    [
        (NO_FAULT, True, ["done", "went on"]),
        (FAIL_BEFORE, False, [AutoReconnect.__name__, "went on"]),
        (FAIL_AFTER, True, [AutoReconnect.__name__, "went on"]),
        (CRASH_BEFORE, False, []),
        (CRASH_AFTER, True, []),
    ],
)
def test_a_fault_decides_what_is_done_and_what_is_told(fault: Fault, is_done: bool, told: list[str]) -> None:
    """Done or not, reported or not, survived or not: all five combinations."""
    scene = Scene()
    scene.play(fault)
    assert (scene.is_done, scene.told) == (is_done, told)


@pytest.mark.parametrize(("kind", "told"), [("fail-late", [NetworkTimeout.__name__, "went on"]), ("crash-late", [])])
def test_a_late_write_is_done_when_nobody_counts_on_it_any_more(kind: str, told: list[str]) -> None:
    """As by a server that was slow."""
    scene = Scene()
    scene.play(Fault(kind, delay_s=5.0), until_s=4.9)  # type: ignore[arg-type]  # one of FaultKind
    assert (scene.is_done, scene.told) == (False, told)
    scene.loop.run_until(6)
    assert scene.is_done


def test_a_slow_write_is_done_late_and_reported_then() -> None:
    """Nothing fails."""
    scene = Scene()
    scene.play(Fault(delay_s=5.0), until_s=4.9)
    assert (scene.is_done, scene.told) == (False, [])
    scene.loop.run_until(6)
    assert (scene.is_done, scene.told) == (True, ["done", "went on"])


@pytest.fixture
def stage() -> Iterator[tuple[SimulatedLeader, Shared, list[Operation]]]:
    """A leader that runs, and what it wrote."""
    loop, written = VirtualLoop(), list[Operation]()
    shared = Shared(loop, Choke(loop))
    shared.choke.tell = lambda operation, _fault: written.append(operation) if operation.is_write else None
    leader = SimulatedLeader("leader", shared)
    leader.start()
    loop.run_until(1)
    yield leader, shared, written
    close(loop, leader)
    assert loop.complaints == []


def test_writes_are_counted_and_say_who_caused_them(stage: tuple[SimulatedLeader, Shared, list[Operation]]) -> None:
    """From 1, without gaps; reads have no number."""
    leader, shared, written = stage
    callers: list[str] = []

    def plan(operation: Operation) -> Fault:
        callers.append(f"{operation.name}: {operation.caller()}")
        return NO_FAULT

    shared.choke.plan = plan
    shared.loop.run_until_complete(asked(leader, lambda desk: desk.scheduling.put(desk.scheduling._settings)))
    assert [operation.number for operation in written] == list(range(1, len(written) + 1))
    assert "settings.replace_one: Scheduling.put" in callers


def test_a_leader_that_dies_over_a_request_answers_nothing_and_comes_back(
    stage: tuple[SimulatedLeader, Shared, list[Operation]],
) -> None:
    """The caller is told that it is unavailable; what was written stays; the next process answers."""
    leader, shared, _ = stage
    shared.choke.plan = lambda operation: CRASH_AFTER if operation.is_write else NO_FAULT
    shared.choke.on_crash = lambda _program: leader.crash_and_restart(after_s=3.0)
    with pytest.raises(Unavailable, match="died"):
        shared.loop.run_until_complete(asked(leader, lambda desk: desk.scheduling.put(desk.scheduling._settings)))
    shared.choke.plan = lambda _operation: NO_FAULT
    assert "scheduling" in shared.store.table("settings").documents
    with pytest.raises(Unavailable, match="refuses"):
        shared.loop.run_until_complete(asked(leader, lambda desk: desk.scheduling.show()))
    shared.loop.run_until(shared.loop.time() + 4)
    shared.loop.run_until_complete(asked(leader, lambda desk: desk.scheduling.show()))
    assert leader.crashes == 1
