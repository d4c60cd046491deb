"""What must hold once everything has calmed down: nothing is lost, nothing is left, every account is right."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final

from leader.perfdb import documents, schema
from leader.perfdb.entities import Run
from shared.jobs.lifecycle import LOSSES, TERMINAL, Cause, RunState
from simulation.documents import Document
from simulation.hosts import Host
from simulation.inspector import Inspector
from simulation.leaders import SimulatedLeader
from simulation.memory import MemoryStore

_ENDED: Final = frozenset(state.value for state in TERMINAL)
_EXPECTED: Final = {
    "success": {RunState.SUCCEEDED},
    "invalid": {RunState.INVALID},
    "own-failure": {RunState.FAILED},
    "flaky": {RunState.SUCCEEDED},
    "silent": {RunState.SUCCEEDED},
    "refused": {RunState.LOST},
    "poison": {RunState.QUARANTINED},
}
"""How a run ends that nothing disturbed but its own script."""


def unsettled(store: MemoryStore, hosts: Sequence[Host], leaders: Sequence[SimulatedLeader]) -> str:
    """What is still going on; "" where nothing is."""
    for document in store.table(schema.RUNS).documents.values():
        state = document["status"]["state"]
        if state not in _ENDED:
            return f"run {document['_id']} is {state}"
        if not document["recorded"]:
            return f"run {document['_id']} is {state}, and what follows from that is not stored"
    for document in store.table(schema.JOBS).documents.values():
        if not document["complete"] or document["searching"]:
            return f"job {document['_id']} is not complete"
    for host in hosts:
        if host.agent is None or host.processes or host.orders or host.agent.state.attempts:
            return f"{host.name} is busy: {[str(one) for one in host.processes.values()]} {sorted(host.orders)}"
    return next((f"{leader.name} is down or held up" for leader in leaders if not leader.is_at_work), "")


def check(store: MemoryStore, hosts: Sequence[Host], leaders: Sequence[SimulatedLeader], inspector: Inspector) -> None:
    """Say what is wrong to the inspector."""
    for promise, what in _faults(store, hosts, leaders, inspector):
        inspector.broken(promise, what)


def _faults(
    store: MemoryStore, hosts: Sequence[Host], leaders: Sequence[SimulatedLeader], inspector: Inspector
) -> Iterator[tuple[str, str]]:
    runs = [documents.run_from_document(document) for document in store.table(schema.RUNS).documents.values()]
    yield from _jobs(store, inspector)
    for run in runs:
        yield from _story(run)
        yield from _evidence(run, store)
        yield from _fate(run, inspector)
        if run.status.attempt and run.id not in store.table(schema.SPENT).documents:
            yield "usage", f"run {run.id} ({run.status.state}) took a slot and that was never noted"
    for host in hosts:
        if host.disk.files:
            yield "I9", f"on the disk of {host.name}: {sorted(host.disk.files)}"
    for leader in leaders:
        yield from _memory_of(leader)


def _jobs(store: MemoryStore, inspector: Inspector) -> Iterator[tuple[str, str]]:
    jobs, runs = store.table(schema.JOBS).documents, store.table(schema.RUNS).documents
    stored = Counter(run["job_id"] for run in runs.values())
    keys = Counter(job["idempotency_key"] for job in jobs.values())
    yield from (("I4", f"{count} jobs have the key {key}") for key, count in keys.items() if count > 1)
    for key, job_ids in inspector.jobs_by_key.items():
        yield from (("I1", f"job {job_id} of {key} is gone") for job_id in job_ids if job_id not in jobs)
    for job in jobs.values():
        if stored[job["_id"]] != job["run_count"]:
            yield "I1", f"job {job['_id']} has {stored[job['_id']]} of {job['run_count']} runs"


def _story(run: Run) -> Iterator[tuple[str, str]]:
    """History and status tell the same, in order."""
    claims = [event for event in run.history if event.kind == "claimed"]
    positions = [event.position for event in run.history]
    if len(claims) != run.status.attempt:
        yield "history", f"run {run.id} has {len(claims)} claims and {run.status.attempt} attempts"
    if positions != sorted(set(positions)):
        yield "history", f"run {run.id} tells out of order: {positions}"
    requeued = sum(event.kind == "requeued" for event in run.history)
    ended_by_failure = run.status.state in {RunState.LOST, RunState.QUARANTINED}
    if sum(run.status.failures.values()) != requeued + ended_by_failure:
        yield "history", f"run {run.id} counts {run.status.failures} and tells of {requeued} requeues"


def _evidence(run: Run, store: MemoryStore) -> Iterator[tuple[str, str]]:
    """The record is of the accepted attempt, and of no other; evidence is only of attempts that were given."""
    records = store.table(schema.RECORDS).documents
    has_record = run.id in records
    if has_record != (run.status.state.has_record and run.reused_from is None):
        yield "I2", f"run {run.id} is {run.status.state}, and {'has a' if has_record else 'has no'} record"
    elif has_record:
        attempt = json.loads(records[run.id]["record"])["attempt"]
        if attempt != run.status.attempt:
            yield "I2", f"the record of run {run.id} is of attempt {attempt}, accepted was {run.status.attempt}"
    given = {(event.data["attempt"], event.fence) for event in run.history if event.kind == "claimed"}
    for found in store.table(schema.ATTEMPTS).documents.values():
        if found["run_id"] == run.id and (found["attempt"], found["fence"]) not in given:
            yield "I2", f"evidence of an attempt that was never given: {_named(found)}"


def _named(document: Document) -> str:
    return f"{document['_id']} under fence {document['fence']}"


def _fate(run: Run, inspector: Inspector) -> Iterator[tuple[str, str]]:
    """The end fits what the attempts did, and what infrastructure did to them."""
    status = run.status
    if status.state is RunState.CANCELLED or status.cause is Cause.DEADLINE_PASSED or run.reused_from is not None:
        return
    last = inspector.ended.get((run.id, status.attempt))
    kind = next((process.script.kind for (run_id, _), process in inspector.ended.items() if run_id == run.id), None)
    if kind is None:
        yield "I1", f"run {run.id} ended as {status.state} without an attempt"
    elif status.state is RunState.QUARANTINED:
        if sum(status.failures.get(cause, 0) for cause in LOSSES) < 3:
            yield "I10", f"run {run.id} was quarantined after {status.failures}"
    elif status.state is not RunState.LOST and last is None:
        yield "I2", f"run {run.id} is {status.state} by attempt {status.attempt}, which never ran"
    elif status.state is not RunState.LOST and status.state not in _EXPECTED[kind]:
        yield "I2", f"run {run.id} does {kind} and ended as {status.state} ({status.cause}: {status.detail})"


def _memory_of(leader: SimulatedLeader) -> Iterator[tuple[str, str]]:
    if leader.desk is not None:
        if leader.desk.lineup.live:
            yield "I9", f"{leader.name} still counts as running: {[run.id for run in leader.desk.lineup.live]}"
        if len(leader.desk.lineup.backlog):
            yield "I9", f"{leader.name} still counts as waiting: {len(leader.desk.lineup.backlog)} runs"
    if leader.background is not None:
        for name, health in leader.background.health.items():
            if health.deaths:
                yield "loops", f"{name} of {leader.name} died: {health.last_error}"
