"""The manage layer in one piece: what the API calls, built once at start."""

import asyncio
from dataclasses import dataclass
from typing import Final

import structlog

from leader.broker.protocol import Bell
from leader.manage.datasets import Datasets
from leader.manage.delivery import Delivery
from leader.manage.dispatch import Dispatcher
from leader.manage.events import Events
from leader.manage.explain import Explainer
from leader.manage.followers import Followers
from leader.manage.history import History
from leader.manage.ledger import Ledger
from leader.manage.lineup import Lineup
from leader.manage.moves import Listeners, Mover, Watcher
from leader.manage.pins import Pinner
from leader.manage.plan import Planner
from leader.manage.policy import LeasePolicy
from leader.manage.prepare import Preparer
from leader.manage.queue import Queue
from leader.manage.quotas import Quotas
from leader.manage.reads import Reads
from leader.manage.reaper import Reaper
from leader.manage.reconcile import Reconciler
from leader.manage.recorder import Recorder
from leader.manage.requeues import Requeues
from leader.manage.roster import Roster
from leader.manage.scheduling import Scheduling
from leader.manage.searcher import Searcher
from leader.manage.submit import Submissions
from leader.perfdb.entities import Run
from leader.perfdb.protocol import PerfDB
from model_repo.protocol import BlobStore, ModelStore
from model_repo.repository import ModelRepository
from shared.clock import Clock
from shared.errors import Unavailable

REAP_EVERY_S: Final = 1.0
RECONCILE_EVERY: Final = 5
"""Rounds of reaping between two of reconciling."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Desk:
    """Everything that a request can ask for. ``run_background`` keeps the queue moving until it is cancelled."""

    perfdb: PerfDB
    submissions: Submissions
    planner: Planner
    queue: Queue
    followers: Followers
    events: Events
    reads: Reads
    models: ModelStore
    datasets: Datasets
    reaper: Reaper
    reconciler: Reconciler
    scheduling: Scheduling
    explainer: Explainer
    history: History
    lineup: Lineup
    ledger: Ledger
    requeues: Requeues

    async def start(self) -> None:
        """Prepare the database (indexes, schema) and repair what a crash left. Raises Unavailable, Conflict."""
        await self.perfdb.prepare()
        await self.ledger.refresh()
        await self.lineup.look_now()
        repaired = await self.reconciler.run_once()
        log.info("desk.started", repaired=repaired)

    async def run_background(self) -> None:
        """Reap leases and reconcile, every few seconds, for ever. An outage of the store is logged and outlived."""
        rounds = 0
        while True:
            rounds += 1
            try:
                await self.reaper.run_once()
                if rounds % RECONCILE_EVERY == 0:
                    await self.ledger.refresh()
                    await self.reconciler.run_once()
            except Unavailable as error:
                log.warning("background.store_unavailable", reason=error.detail)
            await asyncio.sleep(REAP_EVERY_S)


def build_desk(
    *,
    perfdb: PerfDB,
    blobs: BlobStore,
    bell: Bell,
    clock: Clock,
    policy: LeasePolicy,
    broker_url: str | None,
    max_upload_bytes: int,
) -> Desk:
    """Put the parts together. ``broker_url`` is what followers are told to listen at."""
    listeners = Listeners()
    requeues = Requeues()
    ledger = Ledger(perfdb.spent, perfdb.events, clock)
    lineup = Lineup(perfdb.runs, ledger, clock)
    scheduling = Scheduling(perfdb.settings, lineup, clock)
    mover = Mover(perfdb.runs, listeners, clock, watchers=(_follow(lineup), ledger.watch, requeues.watch))
    recorder = Recorder(perfdb, ledger)
    models = ModelRepository(perfdb.models, blobs, clock, max_bytes=max_upload_bytes, in_use=perfdb.runs.needs_model)
    roster = Roster(perfdb.followers, clock)
    followers = Followers(
        perfdb=perfdb, roster=roster, mover=mover, bell=bell, clock=clock, policy=policy, broker_url=broker_url
    )
    preparer = Preparer(
        records=perfdb.records,
        roster=roster,
        pinner=Pinner(models, perfdb.datasets),
        clock=clock,
        policy=policy,
        ledger=ledger,
    )
    searcher = Searcher(perfdb, followers, clock, lineup, ledger)
    reconciler = Reconciler(perfdb, recorder, searcher, lineup, ledger)
    delivery = Delivery(
        perfdb=perfdb, blobs=blobs, mover=mover, recorder=recorder, searcher=searcher, followers=followers, clock=clock
    )
    dispatcher = Dispatcher(
        runs=perfdb.runs,
        mover=mover,
        lineup=lineup,
        ledger=ledger,
        roster=roster,
        scheduling=scheduling,
        clock=clock,
        policy=policy,
    )
    return Desk(
        perfdb=perfdb,
        submissions=Submissions(
            perfdb=perfdb,
            preparer=preparer,
            mover=mover,
            reconciler=reconciler,
            searcher=searcher,
            bell=bell,
            clock=clock,
            policy=policy,
            quotas=Quotas(scheduling, lineup),
        ),
        planner=Planner(preparer=preparer, dispatcher=dispatcher, scheduling=scheduling, lineup=lineup, ledger=ledger),
        queue=Queue(
            perfdb=perfdb,
            mover=mover,
            delivery=delivery,
            dispatcher=dispatcher,
            followers=followers,
            listeners=listeners,
            clock=clock,
            policy=policy,
        ),
        followers=followers,
        events=Events(perfdb.runs, perfdb.events, listeners),
        reads=Reads(perfdb, blobs),
        models=models,
        datasets=Datasets(perfdb, blobs, clock, max_bytes=max_upload_bytes),
        reaper=Reaper(
            perfdb=perfdb, mover=mover, followers=followers, lineup=lineup, bell=bell, clock=clock, policy=policy
        ),
        reconciler=reconciler,
        scheduling=scheduling,
        explainer=Explainer(perfdb.runs, dispatcher, scheduling, lineup, clock),
        history=History(ledger, dispatcher, scheduling, clock),
        lineup=lineup,
        ledger=ledger,
        requeues=requeues,
    )


def _follow(lineup: Lineup) -> Watcher:
    async def watch(run: Run) -> None:
        lineup.moved(run)

    return watch
