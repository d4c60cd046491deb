"""Who and what is on a stage: people with a part, a network and disks that the story rules."""

import asyncio
from typing import TYPE_CHECKING

from shared.errors import InferBenchError
from simulation.clients import BODY, Client, Plan
from simulation.cues import News
from simulation.hosts import Host
from simulation.network import Exchange, Network, Outcome, Request
from simulation.plots import Wanted

if TYPE_CHECKING:
    from simulation.stage import Stage


class StoryNetwork(Network):
    """Answers to renewals may take their time."""

    def __init__(self, stage: "Stage") -> None:
        like = stage.network
        super().__init__(like.loop, like.rng, like.tell, like.faults, disturbed=like.disturbed)
        self._renewals_take_s = stage.story.renewals_take_s

    def answer(self, exchange: Exchange, outcome: Outcome) -> None:
        if not self._renewals_take_s or not exchange.name.startswith("renew"):
            super().answer(exchange, outcome)
        elif self.is_open(exchange.caller, exchange.leader.name, "from"):
            self.loop.later(self._renewals_take_s, exchange.end, outcome)


class WatchedFiles(dict[str, bytes]):
    """A host's disk, every change of which is a point."""

    def __init__(self, stage: "Stage", host: Host) -> None:
        super().__init__()
        self._stage = stage
        self._host = host

    def __setitem__(self, place: str, data: bytes) -> None:
        when = self._stage.on_disk(self._host, place, is_removal=False)
        if when != "before":
            super().__setitem__(place, data)
        if when is not None:
            self._die()

    def __delitem__(self, place: str) -> None:
        when = self._stage.on_disk(self._host, place, is_removal=True)
        if when != "before":
            super().__delitem__(place)
        if when is not None:
            self._die()

    def _die(self) -> None:
        for key in list(self._host.orders):
            if not self._host.directory(key).order.exists():  # nobody can make sense of the rest: it goes at the start
                root = f"{self._host.directory(key).root}/"
                for place in [place for place in self if place.startswith(root)]:
                    super().__delitem__(place)
                del self._host.orders[key]
        self._stage.agent_dies(self._host)


class StoryClient(Client):
    """Somebody in a story."""

    def __init__(self, stage: "Stage", number: int, wanted: Wanted) -> None:
        plan = Plan(key=f"key-{number}", runs=0, as_sweep=False, at_s=wanted.at_s)
        super().__init__(
            plan,
            network=stage.network,
            leaders=stage.leaders,
            inspector=stage.inspector,
            rng=stage.rng,
            tell=stage.tell,
        )
        self._wanted = wanted
        self._attempt = stage.attempt
        self._begins, self._cancels = asyncio.Event(), asyncio.Event()
        if wanted.after is None:
            self._begins.set()

    def hear(self, news: News) -> None:
        """Is it time?"""
        if self._wanted.after is not None and self._wanted.after(news, self._attempt):
            self._begins.set()
        if self._wanted.cancel is not None and self._wanted.cancel(news, self._attempt):
            self._cancels.set()

    async def act(self) -> None:
        await self._begins.wait()
        await asyncio.sleep(self.plan.at_s)
        if self._wanted.first is not None:
            await self._until_answered("wish", self._wanted.first)
        if not self._wanted.insists:
            await self._ask("submit", self._submitting(BODY))
        else:
            self.job_id = await self._submit()
        if self._wanted.cancel is not None and self.job_id is not None:
            await self._cancels.wait()
            await (self._cancel_run(self.job_id) if self._wanted.cancels_its_run else self.cancel())
        self.done = True

    async def _cancel_run(self, job_id: str) -> None:
        run_id = f"{job_id}.0000"
        answer = await self._until_answered("cancel run", lambda desk: desk.submissions.cancel_run(run_id))
        if not isinstance(answer, InferBenchError):
            self._inspector.cancel_acknowledged(job_id)

    def _submitting(self, body: str) -> Request:
        key, given = self.plan.key, self._wanted.job
        return lambda desk: desk.submissions.submit(given, owner="ann", idempotency_key=key, body_sha256=body)
