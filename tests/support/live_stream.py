"""A stream of scripted runs through a real installation, and what the simulator makes of the same stream."""

import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from chaos.book import Book
from chaos.stack import ChaosStack, chaos_stack, wait_until
from chaos.user import User, job

from shared.scheduling.simulate import Outcome, Setting, simulate
from shared.scheduling.stream_file import TracedRun, read_runs, stream_of
from shared.wire.history import HEADER, HistoryFacts

HISTORY = "/api/v1/history"
SCHEDULING = "/api/v1/scheduling"


@dataclass(frozen=True)
class Scripted:
    """A run: when it is submitted, how long its attempt takes, and how long its job file says that it measures."""

    at_s: float
    duration_s: float
    window_s: float


@dataclass(frozen=True)
class Site:
    """A running installation and somebody who uses it."""

    stack: ChaosStack
    user: User

    def schedule_by(self, settings: dict[str, Any]) -> None:
        """The settings of the queue, from now on."""
        answer = self.user.ask("PUT", SCHEDULING, json=settings)
        assert answer.is_success, answer.text

    def history(self) -> tuple[list[TracedRun], HistoryFacts]:
        """The runs that have ended, by submission, on the leader's clock."""
        answer = self.user.ask("GET", HISTORY)
        assert answer.is_success, answer.text
        return read_runs(answer.text, "history"), HistoryFacts.model_validate_json(answer.headers[HEADER])

    def cordon(self, follower: str, *, cordoned: bool) -> None:
        """Whether the follower gets nothing new."""
        answer = self.user.ask("POST", f"/api/v1/followers/{follower}/{'cordon' if cordoned else 'uncordon'}")
        assert answer.is_success, answer.text

    def play(self, runs: Sequence[Scripted]) -> list[TracedRun]:
        """Submit each run at its time, wait until all have ended; they, by submission, as the leader tells of them."""
        ended = len(self.history()[0])
        self.submit(runs)
        return self.ended(ended + len(runs))[-len(runs) :]

    def submit(self, runs: Sequence[Scripted]) -> None:
        """Each at its time."""
        began_s = time.monotonic()
        for run in runs:
            time.sleep(max(0.0, began_s + run.at_s - time.monotonic()))
            workload = {"pattern": "constant", "rate": 1, "warmup": "0s", "duration": f"{round(run.window_s * 1000)}ms"}
            self.user.submit(job([("succeed", run.duration_s)], workload=workload))

    def ended(self, runs: int) -> list[TracedRun]:
        """The runs that have ended, by submission, once there are so many."""
        wait_until(lambda: len(self.history()[0]) >= runs, "every run has ended", within_s=300)
        return self.history()[0]

    def fixed_cost_s(self, runs: int) -> float:
        """What a run takes beside its script where nothing waits: ring, claim, start of a process, delivery; mean."""
        costs = []
        for _ in range(runs):
            (found,) = self.play([Scripted(0.0, 1.0, 1.0)])
            costs.append(completion_s(found) - 1.0)
        return float(np.mean(costs))


def completion_s(run: TracedRun) -> float:
    """From submit to end."""
    assert run.ended_s is not None
    return run.ended_s - run.arrival_s


def simulated(found: Sequence[TracedRun], script: Sequence[Scripted], facts: HistoryFacts, cost_s: float) -> Outcome:
    """The same arrivals and predictions, and the scripted durations with ``cost_s`` each, under the same policy."""
    runs = [replace(run, duration_s=one.duration_s + cost_s) for run, one in zip(found, script, strict=True)]
    return simulate(stream_of(runs), Setting(slots=facts.slots, policy=facts.settings.to_policy()), seed=1)


@contextmanager
def live_site(folder: Path, followers: int) -> Iterator[Site]:
    """Leader, database, broker and followers of one slot each, in a new folder."""
    folder.mkdir()
    with (
        chaos_stack(folder, lease_s=15, slots=(1,) * followers) as stack,
        closing(User(stack.leader_url, stack.admin_token, Book())) as user,
    ):
        yield Site(stack, user)
