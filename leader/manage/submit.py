"""From a job file to stored runs: plan, submit, cancel."""

from dataclasses import dataclass

from shared.jobs.spec import JobSpec
from shared.wire.views import JobView, PlanView, RunView


@dataclass(frozen=True)
class Submitted:
    """``created`` is false where the same key and body had been accepted before."""

    job: JobView
    created: bool


class Submissions:
    """Accepts and cancels work."""

    async def plan(self, spec: JobSpec) -> PlanView:
        """The runs that the job would have, and how long they would take. No side effect.

        Raises:
            NotFound: the model or dataset does not exist.
            NotAvailable: no follower announces what a run needs.
        """
        raise NotImplementedError

    async def submit(self, spec: JobSpec, *, owner: str, idempotency_key: str | None, body_sha256: str) -> Submitted:
        """Store the job and its runs. Once it returns, the job survives any crash.

        Raises:
            IdempotencyMismatch: the owner used the key with another body.
            NotFound, NotAvailable: as ``plan``.
            Unavailable: the store failed; sending it again with the same key is safe.
        """
        raise NotImplementedError

    async def cancel_job(self, job_id: str) -> JobView:
        """Cancel every run that has not ended. A job without such runs is returned as it is. Raises NotFound."""
        raise NotImplementedError

    async def cancel_run(self, run_id: str) -> RunView:
        """Final at once. Raises NotFound, and Conflict where the run has ended."""
        raise NotImplementedError
