"""What has to add up once all is calm: numbers with what they were made of, and nothing that belongs to nobody."""

from collections import Counter, defaultdict
from collections.abc import Iterator

import pytest

from leader.manage.ledger import occupations_s
from leader.perfdb import documents, schema
from leader.perfdb.entities import Run
from model_repo.gridfs import BUCKET
from simulation.documents import Document
from simulation.grid import grid_on
from simulation.memory import MemoryStore, OpenGate
from simulation.virtual_loop import VirtualLoop

Fault = tuple[str, str]
"""The promise that was broken, and how."""


def faults(store: MemoryStore) -> Iterator[Fault]:
    """All that does not add up in documents."""
    runs = [documents.run_from_document(document) for document in _all(store, schema.RUNS)]
    yield from _records(store, runs)
    yield from _usage(store, runs)
    yield from _jobs(store)
    yield from _stories(store)


def _all(store: MemoryStore, name: str) -> list[Document]:
    return list(store.table(name).documents.values())


def _records(store: MemoryStore, runs: list[Run]) -> Iterator[Fault]:
    """Each measured run has one record, one entry and its part in its task, and nothing else has."""
    measured = {run.id for run in runs if run.status.state.has_record and run.reused_from is None}
    for name in (schema.RECORDS, schema.LEADERBOARD):
        if (found := {document["_id"] for document in _all(store, name)}) != measured:
            yield "I12", f"{name} holds {sorted(found)}, measured were {sorted(measured)}"
    ranked = Counter(entry["key"] for entry in _all(store, schema.LEADERBOARD) if entry["ranked"])
    for task in _all(store, schema.TASKS):
        if task["record_count"] != ranked[task["_id"]]:
            yield "I12", f"task {task['_id'][:8]} counts {task['record_count']} of {ranked[task['_id']]} records"


def _usage(store: MemoryStore, runs: list[Run]) -> Iterator[Fault]:
    """What was noted of a run is what its history says, once."""
    noted = {document["_id"]: document for document in _all(store, schema.SPENT)}
    for run in runs:
        took_s = sum(occupations_s(run))
        found = noted.pop(run.id, None)
        if found is not None and found["occupied_s"] != pytest.approx(took_s):
            yield "usage", f"run {run.id} took {took_s} s, noted were {found['occupied_s']}"
    if noted:
        yield "usage", f"noted of runs that there are not: {sorted(noted)}"


def _jobs(store: MemoryStore) -> Iterator[Fault]:
    """No search goes on; every probe that was decided on has its run."""
    runs = Counter(run["job_id"] for run in _all(store, schema.RUNS))
    for document in _all(store, schema.JOBS):
        job = documents.job_from_document(document)
        if job.searching:
            yield "I1", f"job {job.id} still searches"
        if runs[job.id] != job.run_count:
            yield "I1", f"job {job.id} has {runs[job.id]} of {job.run_count} runs"


def _stories(store: MemoryStore) -> Iterator[Fault]:
    """What followers told is there once, in order."""
    told: dict[str, list[int]] = defaultdict(list)
    for event in _all(store, schema.EVENTS):
        told[event["run_id"]].append(event["position"])
    for run_id, positions in told.items():
        if len(set(positions)) != len(positions):
            yield "history", f"run {run_id} has events twice: {positions}"


def files(store: MemoryStore, loop: VirtualLoop, *, deaths: int) -> Iterator[Fault]:
    """Every artifact has its bytes in GridFS, and no bytes, pieces or notes belong to nobody, after a sweep.

    But for one file at most for each leader that died, or did not hear from the store, between keeping an attempt's
    bytes and naming them, where the attempt was given up meanwhile, so that nobody sent them again.
    """
    loop.run_until_complete(grid_on(store)(None, OpenGate()).sweep(older_than_s=-60))
    blobs = {blob["_id"]: blob for blob in _all(store, BUCKET)}
    kept = {str(blob["file_id"]) for blob in blobs.values()}
    files = {str(file["_id"]) for file in _all(store, f"{BUCKET}.files")}
    pieces = {str(chunk["files_id"]) for chunk in _all(store, f"{BUCKET}.chunks")}
    if files != kept or not pieces <= kept:
        yield "I9", f"files {sorted(files ^ kept)} are too many or too few, pieces {sorted(pieces - kept)} too many"
    if notes := _all(store, "blob_garbage"):
        yield "I9", f"notes of garbage are left: {notes}"
    named = {(_owner(one), one["sha256"]) for one in _all(store, schema.ARTIFACTS)}
    owned = {(owner, sha256) for sha256, blob in blobs.items() for owner in blob["owners"]}
    if named - owned:
        yield "I12", f"the bytes of {sorted(named - owned)} are gone"
    if len(owned - named) > deaths:
        yield "I9", f"bytes are kept for {sorted(owned - named)}, which there are not"


def _owner(artifact: Document) -> str:
    return f"artifact:{artifact['run_id']}:{artifact['attempt']}:{artifact['kind']}"
