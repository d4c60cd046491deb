"""Jobs and runs in MongoDB."""

import asyncio
import secrets
from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from pymongo import ASCENDING, DESCENDING
from pymongo.errors import BulkWriteError, DuplicateKeyError

from leader.perfdb import documents, outlook
from leader.perfdb.entities import AcceptedJob, Counts, Event, HeldLease, Job, JobFilter, Run, WaitingRun
from leader.perfdb.mongo_query import Document, Documents, given, select, tally
from model_repo.gridfs import driver_errors
from shared.errors import Conflict, NotFound, Unavailable
from shared.jobs.lifecycle import MEASURED, TERMINAL, RunState, RunStatus
from shared.jobs.sweep import MAX_RUNS
from shared.scheduling.backlog import SlotKey

_DUPLICATE_KEY: Final = 11000
_MOST_SLOTS: Final = 1_000
_MOST_LEASED: Final = 10_000
_LEASED: Final = (RunState.CLAIMED.value, RunState.RUNNING.value)
_ENDED: Final = tuple(state.value for state in (*sorted(MEASURED), *sorted(TERMINAL - MEASURED)))
_LIVE: Final = tuple(state.value for state in RunState if state not in TERMINAL)


class MongoJobs:
    """JobStore."""

    def __init__(self, collection: Documents) -> None:
        self._jobs = collection

    async def add(self, job: Job) -> Job:
        with driver_errors("storing a job"):
            try:
                await self._jobs.insert_one(documents.job_to_document(job))
            except DuplicateKeyError:
                earlier = await self.submitted(job.owner, job.idempotency_key)
                if earlier is None:
                    raise
                return earlier
        return job

    async def submitted(self, owner: str, idempotency_key: str) -> Job | None:
        with driver_errors("looking for an earlier submit"):
            same = {"owner": str(owner), "idempotency_key": str(idempotency_key)}
            found = await select(self._jobs, same, [("idempotency_key", ASCENDING)], 1)
        return documents.job_from_document(found[0]) if found else None

    async def get(self, job_id: str) -> Job:
        with driver_errors("reading a job"):
            found = await self._jobs.find_one({"_id": str(job_id)})
        if found is None:
            raise NotFound(f"there is no job {job_id}")
        return documents.job_from_document(found)

    async def page(self, wanted: JobFilter, *, before: str | None, limit: int) -> list[Job]:
        where: dict[str, Any] = given(team=wanted.team, name=wanted.name, owner=wanted.owner)
        if before is not None:
            where["seq"] = {"$lt": str(before)}
        with driver_errors("listing jobs"):
            found = await select(self._jobs, where, [("seq", DESCENDING)], limit)
        return [documents.job_from_document(document) for document in found]

    async def accepted(self, *, after: str, limit: int) -> list[AcceptedJob]:
        where = {"seq": {"$gt": str(after)}}
        with driver_errors("looking for accepted jobs"):
            found = await select(self._jobs, where, [("seq", ASCENDING)], limit, fields=["run_count"])
        return [AcceptedJob(id=document["_id"], run_count=document["run_count"]) for document in found]

    async def mark_complete(self, job_ids: Collection[str]) -> None:
        with driver_errors("completing jobs"):
            await self._jobs.update_many({"_id": {"$in": list(job_ids)}}, {"$set": {"complete": 1}})

    async def incomplete(self, *, limit: int) -> list[Job]:
        with driver_errors("looking for incomplete jobs"):
            found = await select(self._jobs, {"complete": 0}, [("seq", ASCENDING)], limit)
        return [documents.job_from_document(document) for document in found]

    async def step(self, job: Job, stepped: Job) -> bool:
        where = {"_id": job.id, "searching": 1, "steps": job.steps}
        update = {"$set": {**documents.searching_part(stepped), "steps": job.steps + 1}}
        with driver_errors("taking a step of a search"):
            return (await self._jobs.update_one(where, update)).matched_count == 1

    async def end_searches(self, job_id: str) -> None:
        where = {"_id": str(job_id), "searching": 1}
        with driver_errors("ending a job's searches"):
            await self._jobs.update_one(where, {"$set": {"searching": 0, "complete": 0}})

    async def searching(self, *, after: str, limit: int) -> list[Job]:
        where = {"searching": 1, "seq": {"$gt": str(after)}}
        with driver_errors("looking for jobs that search"):
            found = await select(self._jobs, where, [("seq", ASCENDING)], limit)
        return [documents.job_from_document(document) for document in found]


class MongoRuns:
    """RunStore."""

    def __init__(self, collection: Documents) -> None:
        self._runs = collection

    async def add_all(self, runs: Sequence[Run]) -> None:
        with driver_errors("storing runs"):
            try:
                await self._runs.insert_many([documents.run_to_document(run) for run in runs], ordered=False)
            except BulkWriteError as error:
                faults = error.details["writeErrors"]
                if not faults or any(fault["code"] != _DUPLICATE_KEY for fault in faults):
                    raise

    async def get(self, run_id: str) -> Run:
        with driver_errors("reading a run"):
            found = await self._runs.find_one({"_id": str(run_id)})
        if found is None:
            raise NotFound(f"there is no run {run_id}")
        return documents.run_from_document(found)

    async def of_job(self, job_id: str) -> list[Run]:
        with driver_errors("reading a job's runs"):
            found = await select(self._runs, {"job_id": str(job_id)}, [("index", ASCENDING)], MAX_RUNS)
        return [documents.run_from_document(document) for document in found]

    async def state_counts(self, job_ids: Collection[str]) -> dict[str, Counts]:
        return dict(zip(job_ids, await asyncio.gather(*map(self._counts, job_ids)), strict=True))

    async def _counts(self, job_id: str) -> Counts:
        with driver_errors("counting runs"):
            counts = await tally(self._runs, {"job_id": job_id}, "status.state")
        return {RunState(state): count for state, count in counts.items()}

    async def waiting(self, *, limit: int) -> list[WaitingRun]:
        sort = [("rank", ASCENDING), ("predicted_s", ASCENDING), ("seq", ASCENDING)]
        where = {"status.state": RunState.QUEUED.value}
        with driver_errors("reading who waits"):
            found = await select(self._runs, where, sort, limit, fields=outlook.WAITING_FIELDS)
        return [outlook.waiting_from_document(document) for document in found]

    async def waiting_of(self, job_id: str) -> tuple[int, list[WaitingRun]]:
        fields = outlook.WAITING_FIELDS
        with driver_errors("reading who waits of a job"):
            found = await select(self._runs, {"job_id": str(job_id)}, [("index", ASCENDING)], MAX_RUNS, fields=fields)
        waiting = [document for document in found if document["status"]["state"] == RunState.QUEUED.value]
        return len(found), [outlook.waiting_from_document(document) for document in waiting]

    async def bind(self, run_ids: Collection[str], slot: SlotKey) -> None:
        where = {"_id": {"$in": list(run_ids)}, "status.state": RunState.QUEUED.value}
        with driver_errors("binding runs to a slot"):
            await self._runs.update_many(where, {"$set": {"bound_to": documents.to_json(slot)}})

    async def leased(self) -> list[Run]:
        found: list[Run] = []
        for state in _LEASED:
            sort = [("status.lease.expires_at_us", ASCENDING)]
            found += await self._select("reading what runs", {"status.state": state}, sort, _MOST_LEASED)
        return found

    async def leased_to(self, follower: str) -> list[Run]:
        where = {"status.lease.follower": str(follower)}
        sort = [("status.lease.slot", ASCENDING)]
        return await self._select("reading a follower's runs", where, sort, _MOST_SLOTS)

    async def leases(self) -> list[HeldLease]:
        sort = [("status.lease.expires_at_us", ASCENDING)]
        found: list[Document] = []
        for state in _LEASED:  # in the order in which a run goes through them: none is missed on its way
            with driver_errors("reading leases"):
                where = {"status.state": state}
                found += await select(self._runs, where, sort, _MOST_LEASED, fields=outlook.LEASE_FIELDS)
        return [outlook.lease_from_document(document) for document in found]

    async def unrecorded(self, *, limit: int) -> list[Run]:
        found: list[Run] = []
        for state in _ENDED:
            if len(found) < limit:
                where = {"status.state": state, "recorded": 0}
                sort, rest = [("seq", ASCENDING)], limit - len(found)
                found += await self._select("looking for what is not recorded", where, sort, rest)
        return found

    async def mark_recorded(self, run_ids: Sequence[str]) -> None:
        with driver_errors("marking runs recorded"):
            await self._runs.update_many({"_id": {"$in": list(run_ids)}}, {"$set": {"recorded": 1}})

    async def mark_without_record(self, run_id: str, reason: str) -> None:
        with driver_errors("marking a run without a record"):
            await self._runs.update_one({"_id": run_id}, {"$set": {"recorded": 1, "no_record": reason}})

    async def needs_model(self, name: str, version: int) -> bool:
        where = {"model.name": str(name), "model.version": int(version), "status.state": {"$in": list(_LIVE)}}
        with driver_errors("looking for runs of a model"):
            return await self._runs.find_one(where, {"_id": 1}) is not None

    async def move(self, run: Run, status: RunStatus, *, at: datetime, event: Event | None = None) -> Run | None:
        moved = replace(
            run,
            status=status,
            updated_at=at,
            follower=status.lease.follower if status.lease else run.follower,
            history=(*run.history, event) if event else run.history,
            recorded=status.state.is_terminal and not status.attempt,
        )
        return moved if await self._compare_and_set(run, moved) else None

    async def _compare_and_set(self, run: Run, moved: Run) -> bool:
        signature = secrets.token_hex(8)  # tells this write from any other when its outcome is unknown
        update = {"$set": {**documents.moving_part(moved), "moved_by": signature}}
        try:
            with driver_errors("moving a run"):
                return await self._matched(documents.standing(run), update)
        except Unavailable:
            return await self._read_back(run, signature)

    async def _matched(self, where: dict[str, Any], update: dict[str, Any]) -> bool:
        try:
            return (await self._runs.update_one(where, update)).matched_count == 1
        except DuplicateKeyError as error:
            raise Conflict("the slot runs another attempt already") from error

    async def _read_back(self, run: Run, signature: str) -> bool:
        """Whether the write with this signature happened. Raises Unavailable where it did not, but still could."""
        with driver_errors("reading back a run"):
            found = await self._runs.find_one({"_id": run.id})
        if found is None:
            raise NotFound(f"there is no run {run.id}")
        if found.get("moved_by") == signature:
            return True
        status = documents.status_from_document(found["status"])
        if (status.state, status.fence) == (run.status.state, run.status.fence):
            raise Unavailable(f"run {run.id} was not moved: the database did not answer in time")
        return False

    async def _select(self, doing: str, where: dict[str, Any], sort: list[tuple[str, int]], limit: int) -> list[Run]:
        with driver_errors(doing):
            found = await select(self._runs, where, sort, limit)
        return [documents.run_from_document(document) for document in found]
