# ruff: noqa: D103 - each breach is named by what it does
"""Each broken promise is noticed: a check that never fails proves nothing."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from support.assignments import assignment
from support.stored_runs import T0, evidence, job, lease, run

from follower.agent.events import AttemptKey
from leader.manage.story import event_of
from leader.perfdb import documents, schema
from leader.perfdb.entities import Run
from shared.jobs import lifecycle
from shared.jobs.lifecycle import Cause, RunStatus
from simulation.attempts import AttemptProcess, Script
from simulation.documents import Document
from simulation.inspector import Inspector
from simulation.memory import MemoryStore

RUN = run()


class Scene:
    """A store that an inspector watches, and a time that tests set."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.store = MemoryStore()
        self.inspector = Inspector(self.store, lambda: self.now_s, lambda _who, _what: None)
        self.table = self.store.table(schema.RUNS)
        self.table.insert(documents.run_to_document(RUN))

    @property
    def broken(self) -> list[str]:
        """The promises that were broken, in order."""
        return [violation.partition(" at ")[0] for violation in self.inspector.violations]

    def move(self, status: RunStatus, **changes: Any) -> None:
        """Write the run as the leader would, with its event."""
        before = self.table.documents[RUN.id]
        found = documents.run_from_document(before)
        event = event_of(found, status, T0)
        moved = replace(found, status=status, history=(*found.history, event) if event else found.history)
        self.table.put(before, {**documents.run_to_document(moved), **changes})

    def start(self, attempt: int = 1, host: str = "f1", slot: str = "cpu-0") -> AttemptProcess:
        """An attempt takes a device."""
        key = AttemptKey(RUN.id, attempt, 2 * attempt - 1)
        script = Script("success", 5.0)
        process = AttemptProcess(host, slot, key, "i-1", assignment(RUN.id), script, self.now_s)
        self.inspector.attempt_started(process)
        return process

    def end(self, process: AttemptProcess) -> None:
        """And leaves it."""
        self.inspector.attempt_ended(process)


def claimed(status: RunStatus = RUN.status) -> RunStatus:
    """The next attempt."""
    return lifecycle.claim(status, lease(), T0)


def requeued(cause: Cause = Cause.LEASE_EXPIRED, times: int = 1) -> RunStatus:
    """Back in the queue, so often."""
    status = RUN.status
    for _ in range(times):
        status = lifecycle.requeue(claimed(status), cause, "x", T0)
    return status


def test_a_run_that_does_all_in_order_breaks_nothing() -> None:
    """Claimed, requeued, claimed again, succeeded, with the evidence of its last attempt."""
    scene = Scene()
    scene.move(claimed())
    first = scene.start()
    scene.end(first)
    scene.move(requeued())
    again = claimed(requeued())
    scene.move(again)
    delivered = replace(evidence(), attempt=2, fence=again.fence)
    scene.store.table(schema.ATTEMPTS).insert(documents.evidence_to_document(delivered))
    scene.move(lifecycle.succeed(again))
    scene.store.table(schema.RECORDS).insert({"_id": RUN.id})
    assert scene.broken == []


Breach = Callable[[Scene], None]


def ended_twice(scene: Scene) -> None:
    scene.move(lifecycle.cancel(RUN.status))
    scene.move(claimed())


def went_back(scene: Scene) -> None:
    scene.move(claimed(requeued()))
    scene.move(claimed().model_copy(update={"state": lifecycle.RunState.RUNNING}))


def lost_its_run(scene: Scene) -> None:
    scene.table.remove(scene.table.documents[RUN.id])


def succeeded_without_evidence(scene: Scene) -> None:
    scene.move(claimed())
    scene.move(lifecycle.succeed(claimed()))


def succeeded_by_an_older_attempt(scene: Scene) -> None:
    scene.store.table(schema.ATTEMPTS).insert(documents.evidence_to_document(replace(evidence(), attempt=2)))
    scene.move(claimed(requeued()))
    scene.move(lifecycle.succeed(claimed(requeued())))


def rewrote_evidence(scene: Scene) -> None:
    table = scene.store.table(schema.ATTEMPTS)
    stored: Document = documents.evidence_to_document(evidence())
    table.insert(stored)
    table.put(stored, {**stored, "sha256": "2" * 64})


def ran_two_on_a_device(scene: Scene) -> None:
    scene.start()
    scene.start(attempt=2)


def claimed_while_it_ran(scene: Scene) -> None:
    scene.move(claimed())
    scene.start()
    scene.move(requeued())
    scene.move(claimed(requeued()))


def was_tried_too_often(scene: Scene) -> None:
    status = requeued(Cause.FOLLOWER_STOPPED, 9)
    scene.move(status.model_copy(update={"failures": {Cause.FOLLOWER_STOPPED: 11}}))


def was_not_quarantined(scene: Scene) -> None:
    status = requeued(Cause.FOLLOWER_STOPPED, 2)
    scene.move(status.model_copy(update={"failures": {Cause.FOLLOWER_DIED: 1, Cause.LEASE_EXPIRED: 2}}))


def kept_its_lease(scene: Scene) -> None:
    scene.move(lifecycle.cancel(RUN.status).model_copy(update={"lease": lease()}))


def told_another_story(scene: Scene) -> None:
    untold = scene.table.documents[RUN.id]["history"]
    scene.move(lifecycle.cancel(RUN.status), history=untold)


def showed_a_record_of_a_cancelled_run(scene: Scene) -> None:
    scene.move(lifecycle.cancel(RUN.status))
    scene.store.table(schema.RECORDS).insert({"_id": RUN.id})


def was_not_cancelled(scene: Scene) -> None:
    scene.inspector.cancel_acknowledged(RUN.job_id)


def became_two_jobs(scene: Scene) -> None:
    for number in (1, 2):
        scene.store.table(schema.JOBS).insert(documents.job_to_document(job(number)))
        scene.inspector.acknowledged("key", job(number).id)


def was_acknowledged_and_not_stored(scene: Scene) -> None:
    scene.inspector.acknowledged("key", "j-nowhere")


@pytest.mark.parametrize(
    ("breach", "promise"),
    [
        (ended_twice, "I1"), (lost_its_run, "I1"), (was_acknowledged_and_not_stored, "I1"),
        (succeeded_without_evidence, "I2"), (succeeded_by_an_older_attempt, "I2"), (rewrote_evidence, "I2"),
        (ran_two_on_a_device, "I3"), (claimed_while_it_ran, "I3"), (became_two_jobs, "I4"),
        (was_not_cancelled, "I7"), (showed_a_record_of_a_cancelled_run, "I7"), (kept_its_lease, "I9"),
        (was_tried_too_often, "I10"), (was_not_quarantined, "I10"),
        (went_back, "fences"), (told_another_story, "history"),
    ],
)  # fmt: skip
def test_each_breach_is_noticed(breach: Breach, promise: str) -> None:
    """By the check of its promise."""
    scene = Scene()
    breach(scene)
    assert promise in scene.broken


@pytest.mark.parametrize(("ended_s", "kept"), [(10.0, True), (10.1, False)])
def test_a_device_is_free_ten_seconds_after_a_cancel(ended_s: float, kept: bool) -> None:
    """Of a follower that nothing kept from hearing of it."""
    scene = Scene()
    scene.move(claimed())
    process = scene.start()
    scene.move(lifecycle.cancel(claimed()))
    scene.inspector.cancel_acknowledged(RUN.job_id)
    scene.now_s = ended_s
    scene.end(process)
    assert scene.broken == ([] if kept else ["I7"])


def test_a_follower_that_was_cut_off_has_ten_seconds_more() -> None:
    """From when it could hear again."""
    scene = Scene()
    scene.move(claimed())
    process = scene.start()
    scene.inspector.disturb("f1", until_s=30.0)
    scene.move(lifecycle.cancel(claimed()))
    scene.inspector.cancel_acknowledged(RUN.job_id)
    scene.now_s = 39.0
    scene.end(process)
    assert scene.broken == []


def test_an_attempt_may_outlive_its_lease_where_its_host_stood_still() -> None:
    """Its agent could not end it; another device runs the run meanwhile."""
    scene = Scene()
    scene.move(claimed())
    scene.start()
    scene.inspector.held_up("f1", until_s=30.0)
    scene.move(requeued())
    scene.move(claimed(requeued()))
    assert scene.broken == []


def test_a_renewal_is_no_breach() -> None:
    """Nor is a start."""
    scene = Scene()
    scene.move(claimed())
    scene.move(lifecycle.start(claimed()))
    scene.move(lifecycle.renew(lifecycle.start(claimed()), T0 + timedelta(seconds=99)))
    assert scene.broken == []


def test_the_run_of_these_tests_is_queued() -> None:
    """So that what they do to it is what they say."""
    assert isinstance(RUN, Run)
    assert RUN.status == RunStatus()
