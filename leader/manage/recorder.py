"""From evidence to record and leaderboard entry: derived, so it can be done again at any time."""

import math
from typing import Any, Final

from leader.manage.blueprint import digest_of
from leader.manage.clocks import in_words, is_off, on_our_clock
from leader.manage.ledger import Ledger
from leader.manage.story import hardware_of, point_of
from leader.perfdb.entities import Evidence, LeaderboardEntry, ReuseKey, Run, StoredRecord, Task
from leader.perfdb.protocol import PerfDB
from model_repo.identity import model_digest
from shared.errors import InvalidInput
from shared.jobs.keys import task_of
from shared.jobs.spec import NamedModel, RunSpec
from shared.measure.metrics import metrics_of
from shared.measure.record import Record
from shared.wire.assignment import Result, Success

MOST_SAID: Final = 300  # characters of an error that are kept


class Recorder:
    """Writes the record of a run that was measured."""

    def __init__(self, perfdb: PerfDB, ledger: Ledger) -> None:
        self._db = perfdb
        self._ledger = ledger

    async def record(self, run: Run) -> None:
        """Derive the record from the evidence of the run's accepted attempt, and store it.

        Raises:
            NotFound: there is no evidence.
            InvalidInput: the evidence is not of a success, or cannot be read.
            Unavailable: the store failed; the reconciler will do it again.
        """
        try:
            evidence = await self._db.evidence.get(run.id, run.status.attempt)
            stored = derive(run, evidence)
        except (ValueError, KeyError) as error:
            unreadable = f"what attempt {run.status.attempt} delivered cannot be read: {str(error)[:MOST_SAID]}"
            raise InvalidInput(unreadable) from error
        await self._db.records.put(stored)
        await self._ledger.note(run, evidence)
        await self._db.runs.mark_recorded([run.id])

    async def do_without(self, run: Run, reason: str) -> None:
        """Nothing can be derived, now or ever: say so in the run, and note what it took. Raises Unavailable."""
        await self._ledger.note(run)
        await self._db.runs.mark_without_record(run.id, reason)


def check_record(run: Run, follower: str, attempt: int, result: Result) -> None:
    """Whether the record is the one that this attempt should deliver, and can be kept.

    Raises:
        InvalidInput: it is of another run, attempt or follower, lacks a stage, or holds a number that is none.
    """
    if not isinstance(result.outcome, Success):
        return
    record = result.outcome.record
    found = {"run_id": record.run_id, "job_id": record.job_id, "attempt": record.attempt, "follower": record.follower}
    expected = {"run_id": run.id, "job_id": run.job_id, "attempt": attempt, "follower": follower}
    wrong = [f"{name} is {found[name]!r}, not {expected[name]!r}" for name in expected if found[name] != expected[name]]
    if wrong:
        raise InvalidInput(f"the record is not of this attempt: {'; '.join(wrong)}")
    _check_numbers(record)


def _check_numbers(record: Record) -> None:
    try:
        metrics = metrics_of(record)
    except KeyError as error:
        raise InvalidInput(f"the record lacks the stage {error}") from error
    numbers = {**metrics, **_floats(record.model_dump(mode="python"))}
    wrong = sorted(name for name, value in numbers.items() if value is not None and not math.isfinite(value))
    if wrong:
        raise InvalidInput(f"the record holds numbers that are none: {', '.join(wrong)}")


def _floats(value: Any, path: str = "") -> dict[str, float]:
    """Path -> number, for every float anywhere in ``value``."""
    if isinstance(value, float):
        return {path: value}
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list | tuple) else ()
    return {name: number for key, inner in items for name, number in _floats(inner, f"{path}.{key}").items()}


def derive(run: Run, evidence: Evidence) -> StoredRecord:
    """The record with the leader's own keys and metrics in it, and what the leaderboard keeps of it. Pure.

    Raises:
        InvalidInput: the evidence is of a failure.
    """
    outcome = evidence.result.outcome
    if not isinstance(outcome, Success):
        raise InvalidInput(f"attempt {evidence.attempt} of run {run.id} delivered no record")
    samples = next((file.sha256 for file in evidence.result.artifacts if file.kind == "samples"), None)
    record = outcome.record.model_copy(
        update={
            **_stamps(outcome.record, evidence.clock_offset_s),
            "comparability_key": run.comparability_key,
            "metrics": metrics_of(outcome.record),
            "samples_sha256": samples or outcome.record.samples_sha256,
        }
    )
    spec = RunSpec.model_validate(run.spec)
    task = Task(
        comparability_key=run.comparability_key,
        facts=task_of(spec, model_digest(spec, digest_of(run.model)), digest_of(run.dataset), digest_of(run.trace)),
        record_count=1,
        last_at=record.finished_at,
    )
    return StoredRecord(record=record, entry=_entry(run, spec, record), task=task)


def _stamps(record: Record, clock_offset_s: float | None) -> dict[str, Any]:
    """Start and end by the leader's clock, where the follower's was off; the record says so."""
    if clock_offset_s is None or not is_off(clock_offset_s):
        return {}
    said = f"start and end are by the leader's clock: the follower's was {in_words(clock_offset_s)}"
    return {
        "started_at": on_our_clock(record.started_at, clock_offset_s),
        "finished_at": on_our_clock(record.finished_at, clock_offset_s),
        "notes": (*record.notes, said),
    }


def _entry(run: Run, spec: RunSpec, record: Record) -> LeaderboardEntry:
    return LeaderboardEntry(
        run_id=run.id,
        job_id=run.job_id,
        comparability_key=run.comparability_key,
        name=run.name,
        team=run.team,
        model=spec.model.name if isinstance(spec.model, NamedModel) else spec.model.generate.family,
        follower=record.follower,
        hardware=hardware_of(run),
        platform=spec.service.platform,
        configuration=spec.service.model_dump(mode="json"),
        metrics=record.metrics,
        verdict=record.verdict.kind,
        reuse_key=ReuseKey(point, spec.workload.seed) if (point := point_of(run)) else None,
        created_at=record.finished_at,
    )
