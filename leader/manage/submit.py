"""From a job file to stored runs: plan, submit, cancel."""

import asyncio
import contextlib
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from leader.broker.protocol import Bell
from leader.manage.blueprint import runs_of, searches_of
from leader.manage.ledger import Ledger
from leader.manage.moves import Move, Mover
from leader.manage.pins import Pinner, Pins
from leader.manage.policy import LeasePolicy
from leader.manage.quotas import Quotas
from leader.manage.reconcile import Reconciler
from leader.manage.roster import Roster
from leader.manage.searcher import Searcher
from leader.manage.views import full_job_view, is_alive, run_view
from leader.perfdb.entities import Follower, Job, Run
from leader.perfdb.protocol import PerfDB
from model_repo.canonical.describe import describe
from shared.clock import Clock
from shared.errors import IdempotencyMismatch, NotAvailable, Problem, Unavailable
from shared.jobs import ids
from shared.jobs.lifecycle import cancel
from shared.jobs.spec import GeneratedModel, JobSpec, RunSpec
from shared.jobs.sweep import expand
from shared.scheduling.refusal import refusals
from shared.wire.views import JobView, PlannedRun, PlanView, RunView

ArgumentT = TypeVar("ArgumentT")
ResultT = TypeVar("ResultT")


@dataclass(frozen=True)
class Submitted:
    """``created`` is false where the same key and body had been accepted before."""

    job: JobView
    created: bool


@dataclass(frozen=True)
class Prepared:
    """A job and its first runs as they would be stored, and the followers that could run them."""

    job: Job
    runs: list[Run]
    most_runs: list[int]  # that may come of each of them: of a search's first probe, all its probes
    followers: list[Follower]


class Submissions:
    """Accepts and cancels work."""

    def __init__(
        self,
        *,
        perfdb: PerfDB,
        roster: Roster,
        pinner: Pinner,
        mover: Mover,
        reconciler: Reconciler,
        searcher: Searcher,
        bell: Bell,
        clock: Clock,
        policy: LeasePolicy,
        ledger: Ledger,
        quotas: Quotas,
    ) -> None:
        self._db = perfdb
        self._roster = roster
        self._pinner = pinner
        self._mover = mover
        self._reconciler = reconciler
        self._searcher = searcher
        self._bell = bell
        self._clock = clock
        self._policy = policy
        self._ledger = ledger
        self._quotas = quotas

    async def plan(self, spec: JobSpec) -> PlanView:
        """The runs that the job would have, and how long they would take. No side effect.

        How many probes a search takes depends on what they find, so its time is an upper bound: of as many as allowed.

        Raises:
            InvalidJobFile: the sweep is not valid.
            NotFound: the model or the trace does not exist.
            InvalidInput: a trace is named where a dataset is needed, or the reverse.
            NotAvailable: no follower announces what a run needs.
            InvalidModel: a model to be generated does not fit into one file.
        """
        prepared = await self._prepared(spec, owner="", key="", body_sha256="")
        planned = [
            PlannedRun(
                index=run.index,
                repeat=run.repeat,
                point=run.point,
                most_runs=most,
                predicted_s=run.predicted_s * most,
                predicted_p90_s=(run.predicted_p90_s or run.predicted_s) * most,
            )
            for run, most in zip(prepared.runs, prepared.most_runs, strict=True)
        ]
        return PlanView(
            name=prepared.job.name,
            runs=tuple(planned),
            predicted_s=sum(run.predicted_s for run in planned),
            predicted_p90_s=sum(run.predicted_p90_s or run.predicted_s for run in planned),
            is_upper_bound=any(run.most_runs > 1 for run in planned),
            comparability_keys=tuple(dict.fromkeys(run.comparability_key for run in prepared.runs)),
        )

    async def submit(self, spec: JobSpec, *, owner: str, idempotency_key: str | None, body_sha256: str) -> Submitted:
        """Store the job and its runs. Once it returns, the job survives any crash.

        Raises:
            IdempotencyMismatch: the owner used the key with another body.
            QuotaExceeded: the team may not have so many runs in the queue.
            InvalidJobFile, NotFound, NotAvailable: as ``plan``.
            Unavailable: the store failed; sending it again with the same key is safe.
        """
        if idempotency_key is not None:
            earlier = await self._db.jobs.submitted(owner, idempotency_key)
            if earlier is not None:
                return await self._again(earlier, body_sha256)
        key = idempotency_key or f"unnamed-{secrets.token_hex(16)}"
        prepared = await self._prepared(spec, owner=owner, key=key, body_sha256=body_sha256)
        async with self._quotas.room_for(spec.team, len(prepared.runs)):
            stored = await self._db.jobs.add(prepared.job)
            if stored.id != prepared.job.id:  # the same key came in twice at once
                return await self._again(stored, body_sha256)
            await self._reconciler.complete(stored, prepared.runs)
        self._ring(prepared.followers)
        return Submitted(full_job_view(stored, prepared.runs), created=True)

    async def cancel_job(self, job_id: str) -> JobView:
        """Cancel every run that has not ended, and every search. A job without such is returned as it is.

        The searches end first: a probe that was decided on before is then known, stored and cancelled with the rest.

        Raises:
            NotFound.
        """
        job = await self._db.jobs.get(job_id)
        if job.searches:
            await self._db.jobs.end_searches(job_id)
            job = await self._db.jobs.get(job_id)
        if not job.complete or job.searches:
            await self._reconciler.complete(job)
        for run in await self._db.runs.of_job(job_id):
            if not run.status.state.is_terminal:
                await self._cancel(run.id, if_live=True)
        return full_job_view(job, await self._db.runs.of_job(job_id))

    async def cancel_run(self, run_id: str) -> RunView:
        """Final at once; a search whose probe it is ends. Raises NotFound, and Conflict where the run has ended."""
        run = await self._cancel(run_id, if_live=False)
        with contextlib.suppress(Unavailable):  # it is cancelled; the reconciler ends the search
            await self._searcher.advance(run.job_id)
        return run_view(run)

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
        return Submitted(full_job_view(earlier, await self._db.runs.of_job(earlier.id)), created=False)

    async def _prepared(self, spec: JobSpec, *, owner: str, key: str, body_sha256: str) -> Prepared:
        """The job and its runs, checked against what exists."""
        expanded = await _aside(spec, expand, spec)
        specs = [run.spec for run in expanded]
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
            searches=(searches := searches_of(expanded, now)),
            searching=bool(searches),
            created_at=now,
        )
        return Prepared(
            job,
            await _aside(spec, lambda made: runs_of(made, self._ledger.learnt), job),
            [run.most_runs for run in expanded],
            followers,
        )

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
