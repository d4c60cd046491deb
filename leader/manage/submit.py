"""From a job file to stored runs: submit, cancel."""

import contextlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from leader.broker.protocol import Bell
from leader.manage.moves import Move, Mover
from leader.manage.outbox import Outbox
from leader.manage.policy import LeasePolicy
from leader.manage.prepare import Preparer
from leader.manage.quotas import Quotas
from leader.manage.reconcile import Reconciler
from leader.manage.searcher import Searcher
from leader.manage.views import full_job_view, is_alive, run_view
from leader.perfdb.entities import Follower, Job, Run
from leader.perfdb.protocol import PerfDB
from shared.clock import Clock
from shared.errors import IdempotencyMismatch, Unavailable
from shared.jobs.lifecycle import cancel
from shared.jobs.spec import JobSpec
from shared.jobs.sweep import ExpandedRun
from shared.wire.views import JobView, RunView


@dataclass(frozen=True)
class Submitted:
    """``created`` is false where the same key and body had been accepted before."""

    job: JobView
    created: bool


class Submissions:
    """Accepts and cancels work."""

    def __init__(
        self,
        *,
        perfdb: PerfDB,
        preparer: Preparer,
        mover: Mover,
        reconciler: Reconciler,
        searcher: Searcher,
        bell: Bell,
        clock: Clock,
        policy: LeasePolicy,
        quotas: Quotas,
        outbox: Outbox,
    ) -> None:
        self._db = perfdb
        self._preparer = preparer
        self._mover = mover
        self._reconciler = reconciler
        self._searcher = searcher
        self._bell = bell
        self._clock = clock
        self._policy = policy
        self._quotas = quotas
        self._outbox = outbox

    async def submit(
        self,
        spec: JobSpec,
        expanded: Sequence[ExpandedRun] | None = None,
        *,
        owner: str,
        idempotency_key: str | None,
        body_sha256: str,
    ) -> Submitted:
        """Store the job and its runs. Once it returns, the job survives any crash.

        ``expanded``: the job's runs, where somebody has them already. What is reused is decided here, once, and stored
        with the job: whoever completes it after a crash finds the same.

        Raises:
            IdempotencyMismatch: the owner used the key with another body.
            QuotaExceeded: the team may not have so many runs in the queue.
            InvalidJobFile, NotFound, InvalidInput, NotAvailable, InvalidModel: as ``Preparer.prepare``.
            Unavailable: the store failed; sending it again with the same key is safe.
        """
        if idempotency_key is not None:
            earlier = await self._db.jobs.submitted(owner, idempotency_key)
            if earlier is not None:
                return await self._again(earlier, body_sha256)
        key = idempotency_key or f"unnamed-{secrets.token_hex(16)}"
        prepared = await self._preparer.prepare(spec, expanded, owner=owner, key=key, body_sha256=body_sha256)
        if spec.reuse != "never":
            prepared = prepared.reusing(await self._preparer.finds(prepared))
        async with self._quotas.room_for(spec.team, len(prepared.to_be_run)):
            with self._outbox.announcing(prepared.job):
                stored = await self._db.jobs.add(prepared.job)
                if stored.id != prepared.job.id:  # the same key came in twice at once
                    return await self._again(stored, body_sha256)
                await self._reconciler.complete(stored, prepared.runs)
                if prepared.to_be_run:
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

    def _ring(self, followers: Sequence[Follower]) -> None:
        now = self._clock.utc_now()
        for follower in followers:
            if is_alive(follower, now, self._policy.lease):
                self._bell.ring(follower.registration.name)
