"""From a job file to a job and its runs as they would be stored, checked against what exists. Nothing is stored."""

import asyncio
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from leader.manage.blueprint import reused, runs_from, searches_of
from leader.manage.ledger import Ledger
from leader.manage.pins import Pinner, Pins
from leader.manage.policy import LeasePolicy
from leader.manage.reuse import Finds, find, wanted_of
from leader.manage.roster import Roster
from leader.manage.views import is_alive
from leader.perfdb.entities import Follower, Job, Run
from leader.perfdb.protocol import RecordStore
from model_repo.canonical.describe import describe
from shared.clock import Clock
from shared.errors import NotAvailable, Problem
from shared.jobs import ids
from shared.jobs.spec import GeneratedModel, JobSpec, RunSpec
from shared.jobs.sweep import ExpandedRun, expand
from shared.scheduling.refusal import refusals

ResultT = TypeVar("ResultT")


@dataclass(frozen=True)
class Prepared:
    """A job and its first runs as they would be stored, and who has registered."""

    spec: JobSpec
    job: Job
    expanded: Sequence[ExpandedRun]  # one for each of the runs
    runs: Sequence[Run]
    followers: Sequence[Follower]

    @property
    def to_be_run(self) -> list[Run]:
        """Those that no record stands in for."""
        return [run for run in self.runs if run.reused_from is None]

    def reusing(self, finds: Finds) -> "Prepared":
        """With every run that the job's ``reuse`` finds a record for ended by it."""
        origins = finds.reused(self.spec.reuse)
        runs = [reused(run, origins[run.index]) if run.index in origins else run for run in self.runs]
        return replace(self, job=replace(self.job, reused=origins), runs=runs)


class Preparer:
    """Looks up what a job needs."""

    def __init__(
        self,
        *,
        records: RecordStore,
        roster: Roster,
        pinner: Pinner,
        clock: Clock,
        policy: LeasePolicy,
        ledger: Ledger,
    ) -> None:
        self._records = records
        self._roster = roster
        self._pinner = pinner
        self._clock = clock
        self._policy = policy
        self._ledger = ledger

    async def prepare(
        self,
        spec: JobSpec,
        expanded: Sequence[ExpandedRun] | None = None,
        *,
        owner: str = "",
        key: str = "",
        body_sha256: str = "",
    ) -> Prepared:
        """The job and its runs, none of them reused; ``expanded``: the job's runs, where somebody has them already.

        Raises:
            InvalidJobFile: the sweep is not valid.
            NotFound: the model or the trace does not exist.
            InvalidInput: a trace is named where a dataset is needed, or the reverse.
            NotAvailable: no follower announces what a run needs.
            InvalidModel: a model to be generated does not fit into one file.
            Unavailable.
        """
        runs = await _aside(spec, lambda: expand(spec)) if expanded is None else expanded
        specs = [run.spec for run in runs]
        _refuse_ungenerable(specs)
        pins = await self._pinner.pins(specs)
        followers = await self._able(specs, pins)
        now = self._clock.utc_now()
        job = Job(
            id=ids.new_job_id(now, secrets.token_bytes(ids.RANDOM_BYTES)),
            owner=owner,
            team=spec.team,
            name=spec.name,
            priority=spec.priority,
            idempotency_key=key,
            body_sha256=body_sha256,
            spec=spec.given(),
            run_count=len(specs),
            models=pins.models,
            datasets=pins.datasets,
            searches=(searches := searches_of(runs, now)),
            searching=bool(searches),
            created_at=now,
        )
        stored = await _aside(spec, lambda: runs_from(job, spec, runs, self._ledger.learnt))
        return Prepared(spec, job, runs, stored, followers)

    async def finds(self, prepared: Prepared) -> Finds:
        """What PerfDB has of the runs already. Raises Unavailable."""
        live = [one for one in prepared.followers if is_alive(one, self._clock.utc_now(), self._policy.lease)]
        wanted = await _aside(prepared.spec, lambda: wanted_of(prepared.expanded, prepared.runs, live))
        return await find(self._records, wanted, repeats=prepared.spec.repeats)

    async def _able(self, specs: Sequence[RunSpec], pins: Pins) -> list[Follower]:
        """The followers, of which one at least can run each spec. Refuses only by a list that was read just now."""
        followers = await self._roster.recent()
        if _missing(specs, pins, followers):
            followers = await self._roster.current()
            if problems := _missing(specs, pins, followers):
                raise NotAvailable(f"no follower can run this: {problems[0]}", problems=problems)
        return followers


def _refuse_ungenerable(specs: Sequence[RunSpec]) -> None:
    """A canonical model that no ONNX file can hold is refused here, by arithmetic, not on a follower."""
    for model in dict.fromkeys(spec.model.generate for spec in specs if isinstance(spec.model, GeneratedModel)):
        describe(model)


async def _aside(spec: JobSpec, work: Callable[[], ResultT]) -> ResultT:
    """In a thread where there are many runs; for a single one the thread would cost more than the work."""
    if spec.sweep or spec.repeats > 1:
        return await asyncio.to_thread(work)
    return work()


def _missing(specs: Sequence[RunSpec], pins: Pins, followers: Sequence[Follower]) -> list[Problem]:
    announced = {follower.registration.name: follower.registration.capabilities for follower in followers}
    return refusals(specs, announced, {pin.name for pin in pins.datasets})
