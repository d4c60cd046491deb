"""What must hold once everything has come to rest. Every check reads what is there and returns what is wrong."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from chaos.book import LIVE, Book, Cancel
from chaos.occupancy import Stay
from pymongo import MongoClient

EXPECTED: Final[Mapping[str, frozenset[str]]] = {
    "succeed": frozenset({"succeeded"}),
    "invalid": frozenset({"invalid"}),
    "fail": frozenset({"failed"}),
    "crash": frozenset({"lost"}),
    "poison": frozenset({"quarantined"}),
}
INFLICTED: Final = frozenset({"cancelled", "lost", "quarantined"})
"""What damage from outside may make of any run but a poisonous one."""
MEASURED: Final = frozenset({"succeeded", "invalid"})
DELIVERED: Final = MEASURED | {"failed"}


@dataclass(frozen=True)
class Ledger:
    """What the database holds, read by hand: documents as they are."""

    jobs: Sequence[Mapping[str, Any]]
    runs: Sequence[Mapping[str, Any]]
    records: Sequence[Mapping[str, Any]]
    ranked: Sequence[Mapping[str, Any]]
    attempts: Sequence[Mapping[str, Any]]
    artifacts: Sequence[Mapping[str, Any]]
    blobs: Sequence[Mapping[str, Any]]
    garbage: Sequence[Mapping[str, Any]]  # files that a sweep may find to be nobody's
    files: Sequence[str]


def read_ledger(database_url: str) -> Ledger:
    """All of it."""
    with MongoClient[dict[str, Any]](database_url) as client:
        database = client.get_default_database()

        def all_of(name: str) -> list[dict[str, Any]]:
            return list(database[name].find({}))

        return Ledger(
            jobs=all_of("jobs"),
            runs=all_of("runs"),
            records=all_of("records"),
            ranked=all_of("leaderboard"),
            attempts=all_of("attempts"),
            artifacts=all_of("artifacts"),
            blobs=all_of("blobs"),
            garbage=all_of("blob_garbage"),
            files=[str(file["_id"]) for file in all_of("blobs.files")],
        )


def violations(ledger: Ledger, book: Book, stays: Sequence[Stay], cancel_within_s: float) -> list[str]:
    """Everything that breaks a promise; empty is what we want."""
    by_id = {run["_id"]: run for run in ledger.runs}
    return [
        *book.broken,
        *_ends(by_id, book),
        *_jobs(ledger, book),
        *_results(ledger, by_id),
        *_accepted_attempts(ledger, by_id, stays),
        *_bytes(ledger),
        *_leases(ledger.runs),
        *_cancels(by_id, book.cancels, stays, cancel_within_s),
    ]


def late_results(ledger: Ledger) -> int:
    """How many results were kept that ended nothing: of attempts that were superseded, or cancelled, meanwhile."""
    accepted = {
        (run["_id"], event["data"]["delivered"])
        for run in ledger.runs
        for event in json.loads(run["history"])
        if "delivered" in event["data"]
    }
    return sum((result["run_id"], result["attempt"]) not in accepted for result in ledger.attempts)


def _ends(by_id: Mapping[str, Mapping[str, Any]], book: Book) -> Iterable[str]:
    """Accepted = ended, and ended as its script and the damage allow."""
    for run in book.snapshot():
        if run.run_id not in by_id:
            yield f"{run.run_id} was accepted and is not there"
            continue
        state = by_id[run.run_id]["status"]["state"]
        allowed = EXPECTED[run.deed] | (INFLICTED if run.deed != "poison" else frozenset())
        if state in LIVE:
            yield f"{run.run_id} has not ended: {state}, {by_id[run.run_id]['status']}"
        elif state not in allowed:
            yield f"{run.run_id} was to {run.deed} and ended {state}"
        if not run.is_live and run.state != state:
            yield f"{run.run_id} was shown as {run.state} and is {state}"
    for run_id in by_id.keys() - book.runs.keys():
        yield f"{run_id} is there and was never accepted"


def _jobs(ledger: Ledger, book: Book) -> Iterable[str]:
    known = {job_id for job_id, _ in book.jobs.values()}
    for job in ledger.jobs:
        if job["_id"] not in known:
            yield f"job {job['_id']} is there and was never accepted"
        if not job["complete"]:
            yield f"job {job['_id']} is not marked complete"


def _results(ledger: Ledger, by_id: Mapping[str, Mapping[str, Any]]) -> Iterable[str]:
    """One record for each run that measured, none for any other, and only good ones ranked."""
    states = {run_id: run["status"]["state"] for run_id, run in by_id.items()}
    measured = {run_id for run_id, state in states.items() if state in MEASURED}
    records = Counter(record["_id"] for record in ledger.records)
    for run_id in sorted(measured | records.keys()):
        if records[run_id] != int(run_id in measured):
            yield f"{run_id} is {states.get(run_id, 'missing')} and has {records[run_id]} records"
    for run_id in sorted(measured):
        if not by_id[run_id]["recorded"]:
            yield f"{run_id} is not marked recorded"
    ranked = Counter(entry["_id"] for entry in ledger.ranked if entry["ranked"])
    for run_id in sorted(states.keys() | ranked.keys()):
        if ranked[run_id] != int(states.get(run_id) == "succeeded"):
            yield f"{run_id} is ranked {ranked[run_id]} times and is {states.get(run_id, 'missing')}"


def _accepted_attempts(ledger: Ledger, by_id: Mapping[str, Mapping[str, Any]], stays: Sequence[Stay]) -> Iterable[str]:
    """A run that a result ended has exactly one such result: of its last attempt, which did come to its end."""
    evidence = {document["_id"]: document for document in ledger.attempts}
    ended = {(stay.occupant.run_id, stay.occupant.attempt, stay.occupant.fence) for stay in stays if stay.ended}
    for run_id, run in by_id.items():
        status = run["status"]
        deliveries = [event for event in json.loads(run["history"]) if "delivered" in event["data"]]
        final = [event for event in deliveries if event["data"]["state"] in DELIVERED]
        expected = 1 if status["state"] in DELIVERED else 0
        if len(final) != expected:
            yield f"{run_id} is {status['state']} by {len(final)} accepted results"
        if status["state"] not in DELIVERED:
            continue
        if any(event["data"]["delivered"] != status["attempt"] for event in final):
            yield f"{run_id} was ended by attempt {final[0]['data']['delivered']} and not by its last"
        if f"{run_id}:{status['attempt']}" not in evidence:
            yield f"{run_id}: nothing is kept of what attempt {status['attempt']} delivered"
        if (run_id, status["attempt"], status["fence"]) not in ended:
            yield f"{run_id}: attempt {status['attempt']} (fence {status['fence']}) never came to its end"
    for record in ledger.records:
        owner = by_id.get(record["_id"])
        if owner is not None and json.loads(record["record"])["attempt"] != owner["status"]["attempt"]:
            yield f"{record['_id']} has the record of another attempt than its last"


def _bytes(ledger: Ledger) -> Iterable[str]:
    """What an artifact names is there, and what is there is named or known to be garbage."""
    by_sha256 = {blob["_id"]: blob for blob in ledger.blobs}
    files = set(ledger.files)
    for artifact in ledger.artifacts:
        blob = by_sha256.get(artifact["sha256"])
        if blob is None or blob["file_id"] not in files:
            yield f"{artifact['_id']}: the bytes are not there"
    named = {blob["file_id"] for blob in ledger.blobs} | {note["_id"] for note in ledger.garbage}
    for file_id in sorted(files - named):
        yield f"file {file_id} is nobody's, and no sweep will find it"


def _leases(runs: Iterable[Mapping[str, Any]]) -> Iterable[str]:
    for run in runs:
        if run["status"]["lease"]:
            yield f"{run['_id']} still has a lease: {run['status']['lease']}"


def _cancels(
    by_id: Mapping[str, Mapping[str, Any]], cancels: Iterable[Cancel], stays: Sequence[Stay], within_s: float
) -> Iterable[str]:
    """A confirmed cancel is final, and soon no device is used for the run any more."""
    for cancel in cancels:
        state = by_id[cancel.run_id]["status"]["state"] if cancel.run_id in by_id else "missing"
        if state != "cancelled":
            yield f"{cancel.run_id} was cancelled ({cancel.phase}) and is {state}"
        for stay in stays:
            after_s = (stay.last_ns - cancel.at_ns) / 1e9
            if stay.occupant.run_id == cancel.run_id and after_s > within_s:
                yield f"{cancel.run_id} used {stay.occupant.device} {after_s:.1f} s after its cancel ({cancel.phase})"
