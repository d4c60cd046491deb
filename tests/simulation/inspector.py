"""Watches every write and every device, and says which promise was broken, when, and by what."""

import json
from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any, Final

from leader.perfdb import schema
from shared.jobs.lifecycle import LOSSES, MEASURED, MOST_FAILURES, MOST_LOSSES, TERMINAL, RunState
from simulation.attempts import AttemptProcess
from simulation.documents import Document
from simulation.memory import MemoryStore

FREE_WITHIN_S: Final = 10.0
"""After an acknowledged cancel, and after everything that disturbed it, the device is free."""
MOST_ATTEMPTS: Final = sum(MOST_FAILURES.values()) + 1

_ENDED: Final = frozenset(state.value for state in TERMINAL)
_MEASURED: Final = frozenset(state.value for state in MEASURED)
_LEASED: Final = frozenset({RunState.CLAIMED.value, RunState.RUNNING.value})
_QUEUED: Final = RunState.QUEUED.value


class Inspector:
    """Collects ``violations``. ``disturb`` tells it what may hold things up, so that it asks for no miracles."""

    def __init__(self, store: MemoryStore, now_s: Callable[[], float], tell: Callable[[str, str], None]) -> None:
        self.violations: list[str] = []
        self.ended: dict[tuple[str, int], AttemptProcess] = {}
        self.jobs_by_key: dict[str, set[str]] = defaultdict(set)
        self.cancelled_s: dict[str, float] = {}
        self.disturbed_s: dict[str, float] = defaultdict(float)
        self._store = store
        self._now_s = now_s
        self._tell = tell
        self._on_device: dict[tuple[str, str], AttemptProcess] = {}
        self._alive: dict[str, list[AttemptProcess]] = defaultdict(list)
        self._held_up_s: dict[str, float] = defaultdict(lambda: -1.0)
        store.watchers.append(self.changed)

    def broken(self, promise: str, what: str) -> None:
        """A promise was broken."""
        self.violations.append(f"{promise} at {self._now_s():.3f} s: {what}")
        self._tell("inspector", f"VIOLATION of {promise}: {what}")

    def disturb(self, host: str, until_s: float) -> None:
        """Until then this host may not hear what it should."""
        self.disturbed_s[host] = max(self.disturbed_s[host], until_s)

    def held_up(self, host: str, until_s: float) -> None:
        """Its agent does nothing until then: its attempts may outlive their leases."""
        self._held_up_s[host] = max(self._held_up_s[host], until_s)
        self.disturb(host, until_s)

    def was_held_up(self, host: str, since_s: float) -> bool:
        """Whether its agent has not been run for a while, at some time since then."""
        return self._held_up_s[host] >= since_s

    # ------------------------------------------------------------------------------------------- documents

    def changed(self, name: str, before: Document | None, after: Document | None) -> None:
        """simulation.memory.Watch."""
        if name == schema.RUNS:
            self._run_changed(before, after)
        elif name == schema.ATTEMPTS and (before is not None or after is None):
            self.broken("I2", f"evidence was changed: {before} -> {after}")
        elif name == schema.RECORDS and after is not None:
            self._record_stored(after)

    def _run_changed(self, before: Document | None, after: Document | None) -> None:
        if after is None:
            self.broken("I1", f"run {before and before['_id']} was deleted")
        elif before is None:
            if after["status"]["state"] != _QUEUED and "reused_from" not in after:
                self.broken("I1", f"run {after['_id']} was stored as {after['status']['state']}")
        elif before["status"] != after["status"] or before["history"] != after["history"]:
            self._moved(after["_id"], before["status"], after["status"], after)

    def _moved(self, run_id: str, before: Mapping[str, Any], after: Mapping[str, Any], document: Document) -> None:
        said = f"run {run_id}: {_short(before)} -> {_short(after)}"
        self._tell("store", said)
        if before["state"] in _ENDED:
            self.broken("I1", f"an ended run moved: {said}")
        if after["fence"] < before["fence"] or after["attempt"] < before["attempt"]:
            self.broken("fences", f"went back: {said}")
        self._check_bounds(after, said)
        if after["state"] == before["state"]:
            return
        if after["state"] == RunState.CLAIMED.value:
            self._claimed(run_id, before, after, said)
        elif after["state"] in _MEASURED:
            self._measured(run_id, before, after, said)
        elif after["state"] == _QUEUED and after["fence"] != before["fence"] + 1:
            self.broken("fences", f"requeued under the old fence: {said}")
        if after["state"] not in _LEASED and after["lease"] is not None:
            self.broken("I9", f"a lease is left: {said}")
        if _last_state(document) != after["state"] and after["state"] != RunState.RUNNING.value:
            self.broken("history", f"says {_last_state(document)}: {said}")

    def _claimed(self, run_id: str, before: Mapping[str, Any], after: Mapping[str, Any], said: str) -> None:
        if before["state"] != _QUEUED or after["attempt"] != before["attempt"] + 1:
            self.broken("I2", f"claimed out of turn: {said}")
        if after["fence"] != before["fence"] + 1:
            self.broken("fences", f"claimed under an old fence: {said}")
        for process in self._alive[run_id]:
            if not self.was_held_up(process.host, process.started_s):
                self.broken("I3", f"claimed while attempt {process} still runs: {said}")

    def _measured(self, run_id: str, before: Mapping[str, Any], after: Mapping[str, Any], said: str) -> None:
        evidence = self._store.table(schema.ATTEMPTS).documents.get(f"{run_id}:{after['attempt']}")
        if evidence is None or (evidence["fence"], evidence["attempt"]) != (before["fence"], before["attempt"]):
            self.broken("I2", f"accepted without evidence of this fence: {said}")

    def _check_bounds(self, after: Mapping[str, Any], said: str) -> None:
        failures = after["failures"]
        losses = sum(failures.get(cause.value, 0) for cause in LOSSES)
        over = [cause.value for cause, most in MOST_FAILURES.items() if failures.get(cause.value, 0) > most]
        if over or losses > MOST_LOSSES or after["attempt"] > MOST_ATTEMPTS:
            self.broken("I10", f"more attempts than allowed: {said}")
        if losses >= MOST_LOSSES and after["state"] in {_QUEUED, *_LEASED}:
            self.broken("I10", f"not quarantined: {said}")

    def _record_stored(self, record: Document) -> None:
        run = self._store.table(schema.RUNS).documents.get(record["_id"])
        if run is None or run["status"]["state"] not in _MEASURED:
            self.broken("I7", f"a record became visible of run {record['_id']}: {run and _short(run['status'])}")

    # --------------------------------------------------------------------------------------------- devices

    def attempt_started(self, process: AttemptProcess) -> None:
        """A device is taken."""
        place = process.host, process.slot
        if place in self._on_device:
            self.broken("I3", f"{process} started beside {self._on_device[place]}")
        self._on_device[place] = process
        self._alive[process.key.run_id].append(process)

    def attempt_ended(self, process: AttemptProcess) -> None:
        """A device is free."""
        place = process.host, process.slot
        if self._on_device.get(place) is process:
            del self._on_device[place]
        self._alive[process.key.run_id].remove(process)
        self.ended[process.key.run_id, process.key.attempt] = process
        cancelled_s = self.cancelled_s.get(process.key.run_id)
        if cancelled_s is not None:
            allowed_s = max(cancelled_s, self.disturbed_s[process.host]) + FREE_WITHIN_S
            if self._now_s() > allowed_s:
                self.broken("I7", f"{process} ended {self._now_s() - allowed_s:.1f} s too late after the cancel")

    @property
    def running(self) -> list[AttemptProcess]:
        """What is on devices now."""
        return list(self._on_device.values())

    # --------------------------------------------------------------------------------------------- clients

    def acknowledged(self, key: str, job_id: str) -> None:
        """A submit under this key was answered with this job."""
        self.jobs_by_key[key].add(job_id)
        if len(self.jobs_by_key[key]) > 1:
            self.broken("I4", f"{key} became {sorted(self.jobs_by_key[key])}")
        if job_id not in self._store.table(schema.JOBS).documents:
            self.broken("I1", f"job {job_id} was acknowledged and is not stored")

    def cancel_acknowledged(self, job_id: str) -> None:
        """A cancel of the job was answered: from now on nothing of it may move."""
        for run in self._store.table(schema.RUNS).documents.values():
            if run["job_id"] == job_id:
                self.cancelled_s.setdefault(run["_id"], self._now_s())
                if run["status"]["state"] not in _ENDED:
                    self.broken("I7", f"after the cancel, run {run['_id']} is {run['status']['state']}")


def _short(status: Mapping[str, Any]) -> str:
    cause = f" ({status['cause']})" if status.get("cause") else ""
    return f"{status['state']} a{status['attempt']} f{status['fence']}{cause}"


def _last_state(document: Document) -> str:
    return str(json.loads(document["history"])[-1]["data"].get("state", _QUEUED))
