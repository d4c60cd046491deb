"""People who submit jobs, send them again when they hear nothing, and sometimes change their mind."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from random import Random
from typing import Any, Final

from support.desks import spec

from shared.errors import IdempotencyMismatch, InferBenchError, NotFound, Unavailable
from shared.jobs.spec import JobSpec
from simulation.inspector import Inspector
from simulation.leaders import SimulatedLeader
from simulation.network import Network, Outcome, Request

TIMEOUT_S: Final = 6.0
AGAIN_S: Final = (0.5, 4.0)
BODY, OTHER_BODY = "0" * 64, "1" * 64


@lru_cache(maxsize=64)
def job_spec(runs: int, *, as_sweep: bool) -> JobSpec:
    """A job of so many small runs, as points of a sweep or as repeats of one."""
    if as_sweep:
        return spec(seconds=5, sweep={"workload.rate": [10 * (n + 1) for n in range(runs)]})
    return spec(seconds=5, repeats=runs)


@dataclass(frozen=True)
class Plan:
    """What one person does: how many runs, when, and whether they cancel, insist, or try the key again."""

    key: str
    runs: int
    as_sweep: bool
    at_s: float
    cancel_after_s: float | None = None
    submits_again: bool = False
    tries_other_body: bool = False


class Client:
    """One person. ``job_id`` once the job was accepted; ``done`` when they want nothing more."""

    def __init__(
        self,
        plan: Plan,
        *,
        network: Network,
        leaders: Sequence[SimulatedLeader],
        inspector: Inspector,
        rng: Random,
        tell: Callable[[str, str], None],
    ) -> None:
        self.plan = plan
        self.name = f"client of {plan.key}"
        self.job_id: str | None = None
        self.done = False
        self._network = network
        self._leaders = leaders
        self._inspector = inspector
        self._rng = rng
        self._tell = tell

    async def act(self) -> None:
        """Everything that the plan says."""
        plan = self.plan
        await asyncio.sleep(plan.at_s)
        self.job_id = await self._submit()
        if plan.submits_again:
            await asyncio.sleep(self._rng.uniform(0, 5))
            await self._submit()
        if plan.tries_other_body:
            refused = await self._until_answered("submit another", self._submitting(OTHER_BODY))
            if not isinstance(refused, IdempotencyMismatch):
                self._inspector.broken("I4", f"{plan.key} with another body was answered {refused!r}")
        if plan.cancel_after_s is not None:
            await asyncio.sleep(plan.cancel_after_s)
            await self.cancel()
        self.done = True

    async def _submit(self) -> str:
        answer = await self._until_answered("submit", self._submitting(BODY))
        if isinstance(answer, InferBenchError):
            self._inspector.broken("I1", f"the submit of {self.plan.key} was refused: {answer!r}")
            raise answer
        job_id: str = answer.job.id
        self._inspector.acknowledged(self.plan.key, job_id)
        return job_id

    def _submitting(self, body: str) -> Request:
        plan, given = self.plan, job_spec(self.plan.runs, as_sweep=self.plan.as_sweep)
        return lambda desk: desk.submissions.submit(given, owner="ann", idempotency_key=plan.key, body_sha256=body)

    async def cancel(self) -> None:
        """Of the job, which was accepted before."""
        job_id = self.job_id or ""
        answer = await self._until_answered("cancel", lambda desk: desk.submissions.cancel_job(job_id))
        if isinstance(answer, NotFound):
            self._inspector.broken("I1", f"job {job_id} was accepted and cannot be found")
        elif not isinstance(answer, InferBenchError):
            self._tell(self.name, "the cancel is acknowledged")
            self._inspector.cancel_acknowledged(job_id)

    async def _until_answered(self, name: str, request: Request) -> Outcome:
        """Again and again, with the same words, to any leader, until one answers."""
        while True:
            answer = await self._ask(name, request)
            if not isinstance(answer, Unavailable):
                return answer
            await asyncio.sleep(self._rng.uniform(*AGAIN_S))

    async def _ask(self, name: str, request: Request) -> Outcome:
        heard: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._network.ask(
            self.name, self._rng.choice(self._leaders), request, name=name, timeout_s=TIMEOUT_S, done=heard.set_result
        )
        return await heard
