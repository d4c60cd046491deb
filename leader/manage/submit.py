"""From a job file to stored runs: plan, submit, cancel."""

import asyncio
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from leader.broker.protocol import Bell
from leader.manage.blueprint import runs_of
from leader.manage.moves import Move, Mover
from leader.manage.policy import LeasePolicy
from leader.manage.reconcile import Reconciler
from leader.manage.roster import Roster
from leader.manage.views import counts_of, is_alive, job_view, run_view
from leader.perfdb.entities import Follower, Job, Run
from leader.perfdb.protocol import PerfDB
from model_repo.canonical.describe import describe
from model_repo.protocol import ModelStore
from shared.clock import Clock
from shared.errors import IdempotencyMismatch, NotAvailable, Problem
from shared.jobs import ids
from shared.jobs.lifecycle import cancel
from shared.jobs.spec import GeneratedModel, JobSpec, NamedModel, RunSpec
from shared.jobs.sweep import expand
from shared.scheduling.refusal import refusals
from shared.wire.assignment import BlobPin, ModelPin
from shared.wire.views import JobView, PlannedRun, PlanView, RunView

SYNTHETIC: Final = "synthetic"
"""Tensors made on the follower: no dataset of this name is ever looked up."""

ArgumentT = TypeVar("ArgumentT")
ResultT = TypeVar("ResultT")


@dataclass(frozen=True)
class Submitted:
    """``created`` is false where the same key and body had been accepted before."""

    job: JobView
    created: bool


@dataclass(frozen=True)
class Pins:
    """Everything that a job names by name, fixed by digest."""

    models: tuple[ModelPin, ...]
    datasets: tuple[BlobPin, ...]


class Submissions:
    """Accepts and cancels work."""

    def __init__(
        self,
        *,
        perfdb: PerfDB,
        roster: Roster,
        models: ModelStore,
        mover: Mover,
        reconciler: Reconciler,
        bell: Bell,
        clock: Clock,
        policy: LeasePolicy,
    ) -> None:
        self._db = perfdb
        self._roster = roster
        self._models = models
        self._mover = mover
        self._reconciler = reconciler
        self._bell = bell
        self._clock = clock
        self._policy = policy

    async def plan(self, spec: JobSpec) -> PlanView:
        """The runs that the job would have, and how long they would take. No side effect.

        Raises:
            InvalidJobFile: the sweep is not valid.
            NotFound: the model does not exist.
            NotAvailable: no follower announces what a run needs.
            InvalidModel: a model to be generated does not fit into one file.
        """
        job, runs, _ = await self._prepared(spec, owner="", key="", body_sha256="")
        planned = [
            PlannedRun(index=run.index, repeat=run.repeat, point=run.point, predicted_s=run.predicted_s) for run in runs
        ]
        return PlanView(
            name=job.name,
            runs=tuple(planned),
            predicted_s=sum(run.predicted_s for run in runs),
            comparability_keys=tuple(dict.fromkeys(run.comparability_key for run in runs)),
        )

    async def submit(self, spec: JobSpec, *, owner: str, idempotency_key: str | None, body_sha256: str) -> Submitted:
        """Store the job and its runs. Once it returns, the job survives any crash.

        Raises:
            IdempotencyMismatch: the owner used the key with another body.
            InvalidJobFile, NotFound, NotAvailable: as ``plan``.
            Unavailable: the store failed; sending it again with the same key is safe.
        """
        if idempotency_key is not None:
            earlier = await self._db.jobs.submitted(owner, idempotency_key)
            if earlier is not None:
                return await self._again(earlier, body_sha256)
        key = idempotency_key or f"unnamed-{secrets.token_hex(16)}"
        job, runs, followers = await self._prepared(spec, owner=owner, key=key, body_sha256=body_sha256)
        stored = await self._db.jobs.add(job)
        if stored.id != job.id:  # the same key came in twice at once
            return await self._again(stored, body_sha256)
        await self._reconciler.complete(stored, runs)
        self._ring(followers)
        return Submitted(job_view(stored, counts_of(runs), tuple(map(run_view, runs))), created=True)

    async def cancel_job(self, job_id: str) -> JobView:
        """Cancel every run that has not ended. A job without such runs is returned as it is. Raises NotFound."""
        job = await self._db.jobs.get(job_id)
        if not job.complete:
            await self._reconciler.complete(job)
        for run in await self._db.runs.of_job(job_id):
            if not run.status.state.is_terminal:
                await self._cancel(run.id, if_live=True)
        runs = await self._db.runs.of_job(job_id)
        return job_view(job, counts_of(runs), tuple(map(run_view, runs)))

    async def cancel_run(self, run_id: str) -> RunView:
        """Final at once. Raises NotFound, and Conflict where the run has ended."""
        return run_view(await self._cancel(run_id, if_live=False))

    async def _cancel(self, run_id: str, *, if_live: bool) -> Run:
        def decide(run: Run) -> Move | None:
            if if_live and run.status.state.is_terminal:
                return None
            return Move.to(cancel(run.status))

        run, _ = await self._mover.move(run_id, decide)
        if run.follower:
            self._bell.ring(run.follower)
        return run

    async def _again(self, earlier: Job, body_sha256: str) -> Submitted:
        if earlier.body_sha256 != body_sha256:
            raise IdempotencyMismatch(
                f"the idempotency key belongs to job {earlier.id}, submitted with another body; use a new key"
            )
        if not earlier.complete:
            await self._reconciler.complete(earlier)
        runs = await self._db.runs.of_job(earlier.id)
        return Submitted(job_view(earlier, counts_of(runs), tuple(map(run_view, runs))), created=False)

    async def _prepared(
        self, spec: JobSpec, *, owner: str, key: str, body_sha256: str
    ) -> tuple[Job, list[Run], list[Follower]]:
        """The job and its runs as they would be stored, checked against what exists."""
        specs = [run.spec for run in await _aside(spec, expand, spec)]
        _refuse_ungenerable(specs)
        pins = await self._pins(specs)
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
            created_at=now,
        )
        return job, await _aside(spec, runs_of, job), followers

    async def _pins(self, specs: Sequence[RunSpec]) -> Pins:
        named = dict.fromkeys((s.model.name, s.model.version) for s in specs if isinstance(s.model, NamedModel))
        models = [await self._models.pin(name, version) for name, version in named]
        datasets = dict.fromkeys(spec.requests.dataset for spec in specs if spec.requests.dataset != SYNTHETIC)
        found = [await self._db.datasets.latest_ready(name) for name in datasets]
        pins = [
            BlobPin(name=version.name, version=version.version, sha256=version.sha256, size_bytes=version.size_bytes)
            for version in found
            if version is not None
        ]
        return Pins(tuple({(pin.name, pin.version): pin for pin in models}.values()), tuple(pins))

    async def _able(self, specs: Sequence[RunSpec], pins: Pins) -> list[Follower]:
        """The followers, of which one at least can run each spec. Refuses only by a list that was read just now."""
        followers = await self._roster.recent()
        if _missing(specs, pins, followers):
            followers = await self._roster.current()
            if problems := _missing(specs, pins, followers):
                raise NotAvailable(f"no follower can run this: {problems[0]}", problems=problems)
        return followers

    def _ring(self, followers: Sequence[Follower]) -> None:
        now = self._clock.utc_now()
        for follower in followers:
            if is_alive(follower, now, self._policy.lease):
                self._bell.ring(follower.registration.name)


def _refuse_ungenerable(specs: Sequence[RunSpec]) -> None:
    """A canonical model that no ONNX file can hold is refused here, by arithmetic, not on a follower."""
    for model in dict.fromkeys(spec.model.generate for spec in specs if isinstance(spec.model, GeneratedModel)):
        describe(model)


async def _aside(spec: JobSpec, work: Callable[[ArgumentT], ResultT], argument: ArgumentT) -> ResultT:
    """In a thread where there are many runs; for a single one the thread would cost more than the work."""
    if spec.sweep or spec.repeats > 1:
        return await asyncio.to_thread(work, argument)
    return work(argument)


def _missing(specs: Sequence[RunSpec], pins: Pins, followers: Sequence[Follower]) -> list[Problem]:
    announced = {follower.registration.name: follower.registration.capabilities for follower in followers}
    return refusals(specs, announced, {pin.name for pin in pins.datasets})
