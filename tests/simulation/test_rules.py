"""Any sequence of wishes, faults and waiting, found by Hypothesis; a plain dictionary says what must come of it."""

from contextlib import ExitStack
from random import Random
from typing import Any, Final

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from leader.perfdb import schema
from shared.jobs.lifecycle import TERMINAL, RunState
from simulation.clients import Client, Plan
from simulation.faults import NO_FAULT, Fault, FaultKind, Operation
from simulation.network import Weather
from simulation.world import Size, World, drawn_secrets

MOST_JOBS: Final = 5
HOSTS: Final = st.integers(0, 2)
LEADERS: Final = st.integers(0, 1)
ENDED: Final = frozenset(state.value for state in TERMINAL)
CANCELLED: Final = RunState.CANCELLED.value


class QueueInAStorm(RuleBasedStateMachine):
    """Two leaders, three hosts, and a reference model: what was wished for, and how each run was last seen."""

    @initialize(seed=st.integers(0, 2**16))
    def begin(self, seed: int) -> None:
        self.stack = ExitStack()
        self.stack.enter_context(drawn_secrets(Random(seed)))
        self.world = World(Random(seed), Size(leaders=2, slots=(1, 2, 1)))
        self.wished: dict[str, int] = {}  # key -> runs
        self.clients: list[Client] = []
        self.seen: dict[str, tuple[str, int, int]] = {}  # run -> state, attempt, fence
        self.cancelled: set[str] = set()  # jobs whose cancel was asked for
        self.next_write: Fault | None = None
        self.world.begin()
        self.world.loop.run_until(1.0)
        self.world.shared.choke.plan = self.plan

    def plan(self, operation: Operation) -> Fault:
        """The armed fault goes to the next write."""
        if operation.is_write and self.next_write is not None:
            fault, self.next_write = self.next_write, None
            return fault
        return NO_FAULT

    # ------------------------------------------------------------------------------------------ what people do

    @precondition(lambda self: len(self.clients) < MOST_JOBS)
    @rule(runs=st.integers(1, 3), as_sweep=st.booleans(), again=st.booleans())
    def submit(self, runs: int, as_sweep: bool, again: bool) -> None:
        key = f"key-{len(self.wished)}"
        self.wished[key] = runs
        plan = Plan(key=key, runs=runs, as_sweep=as_sweep, at_s=0.0, submits_again=again)
        self.clients.append(self.world.submit(plan))

    @precondition(lambda self: any(client.job_id for client in self.clients))
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        client = data.draw(st.sampled_from([client for client in self.clients if client.job_id]))
        assert client.job_id is not None
        if client.job_id not in self.cancelled:
            self.cancelled.add(client.job_id)
            self.world.cancel(client)

    @rule(seconds=st.sampled_from([0.001, 0.01, 0.1, 1.0, 5.0, 20.0]))
    def time_passes(self, seconds: float) -> None:
        self.world.loop.run_until(self.world.loop.time() + seconds)

    # ------------------------------------------------------------------------------------------ what goes wrong

    @rule(
        kind=st.sampled_from(["fail-before", "fail-after", "fail-late", "crash-before", "crash-after", "crash-late"]),
        delay_s=st.sampled_from([0.0, 0.5, 3.0]),
    )
    def the_next_write_fails(self, kind: FaultKind, delay_s: float) -> None:
        self.next_write = Fault(kind, delay_s)

    @rule(host=HOSTS, back_after_s=st.sampled_from([0.5, 25.0]))
    def a_follower_is_killed(self, host: int, back_after_s: float) -> None:
        self.world.inspector.disturb(f"f{host + 1}", self.world.loop.time() + back_after_s)
        self.world.hosts[host].kill_agent(back_after_s)

    @rule(host=HOSTS)
    def a_follower_is_stopped(self, host: int) -> None:
        self.world.hosts[host].stop_agent(5.0)

    @rule(host=HOSTS, seconds=st.sampled_from([5.0, 30.0]))
    def a_host_stands_still(self, host: int, seconds: float) -> None:
        self.world.hold_up_host(self.world.hosts[host], seconds)

    @rule(leader=LEADERS, back_after_s=st.sampled_from([0.5, 10.0]))
    def a_leader_crashes(self, leader: int, back_after_s: float) -> None:
        self.world.crash_leader(self.world.leaders[leader], back_after_s)

    @rule(leader=LEADERS, seconds=st.sampled_from([2.0, 20.0]))
    def a_leader_stands_still(self, leader: int, seconds: float) -> None:
        self.world.hold_up_leader(self.world.leaders[leader], seconds)

    @rule(leader=LEADERS, hours=st.sampled_from([-1, 1]))
    def a_leaders_clock_is_set(self, leader: int, hours: int) -> None:
        self.world.step_clock(self.world.leaders[leader], hours * 3600.0)

    @rule(host=HOSTS, leader=LEADERS, way=st.sampled_from(["to", "from", "both"]), seconds=st.sampled_from([5.0, 30.0]))
    def a_way_is_cut(self, host: int, leader: int, way: Any, seconds: float) -> None:
        self.world.cut(f"f{host + 1}", self.world.leaders[leader], way, seconds)

    @rule(
        what=st.sampled_from(["lose", "lose_answer", "delay", "duplicate", "lose_ring", "nothing"]),
        chance=st.sampled_from([0.2, 0.8]),
    )
    def the_weather_changes(self, what: str, chance: float) -> None:
        self.world.network.weather = Weather(**({} if what == "nothing" else {what: chance}))

    # ---------------------------------------------------------------------------------------- what always holds

    @invariant()
    def no_promise_was_broken(self) -> None:
        assert self.world.inspector.violations == []

    @invariant()
    def no_run_went_back_or_came_to_life_again(self) -> None:
        for run_id, run in self.world.shared.store.table(schema.RUNS).documents.items():
            status = run["status"]
            now = (status["state"], status["attempt"], status["fence"])
            before = self.seen.get(run_id, now)
            assert now[1:] >= before[1:]
            assert before[0] not in ENDED or now == before
            self.seen[run_id] = now

    def teardown(self) -> None:
        """When the storm is over, all that was wished for has come to one end, and nothing else has."""
        try:
            self.next_write = None
            self.world.heal()
            self.world.settle(within_s=900.0)
            self.world.check()
            self.no_promise_was_broken()
            self.no_run_went_back_or_came_to_life_again()
            jobs = self.world.shared.store.table(schema.JOBS).documents
            assert {job["idempotency_key"]: job["run_count"] for job in jobs.values()} == self.wished
            assert len(self.seen) == sum(self.wished.values())
            for run_id, (state, _, _) in self.seen.items():
                assert state in ENDED
                if state == CANCELLED:
                    assert run_id.rpartition(".")[0] in self.cancelled
        finally:
            self.world.end()
            self.stack.close()


TestQueueInAStorm = QueueInAStorm.TestCase
TestQueueInAStorm.settings = settings(max_examples=25, stateful_step_count=30, deadline=None)
