"""The manage layer in one piece: what the API calls, built once at start."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

import structlog

from leader.broker.protocol import Bell
from leader.manage.conversion_moves import ConversionMover
from leader.manage.conversions import Conversions
from leader.manage.converters import Converters
from leader.manage.datasets import Datasets
from leader.manage.delivery import Delivery
from leader.manage.dispatch import Dispatcher
from leader.manage.endings import Endings
from leader.manage.events import Events
from leader.manage.explain import Explainer
from leader.manage.followers import Followers
from leader.manage.history import History
from leader.manage.ledger import Ledger
from leader.manage.lineup import Lineup
from leader.manage.lost_conversions import EVERY_S as TAKE_BACK_EVERY_S
from leader.manage.lost_conversions import LostConversions
from leader.manage.moves import Listeners, Mover, Watcher
from leader.manage.outbox import EVERY_S as ANNOUNCE_EVERY_S
from leader.manage.outbox import Outbox
from leader.manage.pins import Pinner
from leader.manage.plan import Planner
from leader.manage.policy import LeasePolicy
from leader.manage.prepare import Preparer
from leader.manage.presence import Presence
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
from leader.manage.utilisation import EVERY_S as COUNT_EVERY_S
from leader.manage.utilisation import Utilisation
from leader.manage.vigil import Vigil
from leader.perfdb.entities import Run
from leader.perfdb.protocol import PerfDB
from model_repo.protocol import BlobStore, ModelStore
from model_repo.repository import InUse, ModelRepository
from shared.clock import Clock

REAP_EVERY_S: Final = 1.0
RECONCILE_EVERY_S: Final = 5.0
BIND_EVERY_S: Final = 1.0

log = structlog.get_logger(__name__)

Round = Callable[[], Awaitable[object]]
"""Something that any leader may do at any time and again, also while another does it. May raise Unavailable."""


@dataclass(frozen=True)
class Desk:
    """Everything that a request can ask for, and the ``rounds`` that keep the queue moving meanwhile."""

    perfdb: PerfDB
    submissions: Submissions
    planner: Planner
    dispatcher: Dispatcher
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
    endings: Endings
    outbox: Outbox
    presence: Presence
    roster: Roster
    utilisation: Utilisation
    conversions: Conversions
    converters: Converters
    lost_conversions: LostConversions

    async def start(self) -> None:
        """Prepare the database (indexes, schema) and look at what is there; the first rounds repair what a crash left.

        Raises:
            Unavailable.
            Conflict: the database was written by a newer version.
        """
        await self.perfdb.prepare()
        await self.presence.beat()
        await self.ledger.refresh()
        await self.lineup.look_now()
        log.info("desk.started", queued=len(self.lineup.backlog), live=len(self.lineup.live))

    def rounds(self) -> dict[str, tuple[float, Round]]:
        """Name -> seconds between two rounds, and the round."""
        return {
            "reaper": (REAP_EVERY_S, self.reaper.run_once),
            "reconciler": (RECONCILE_EVERY_S, self._reconcile),
            "binder": (BIND_EVERY_S, self.dispatcher.bind_waiting),
            "outbox": (ANNOUNCE_EVERY_S, self.outbox.run_once),
            "utilisation": (COUNT_EVERY_S, self.utilisation.run_once),
            "conversions": (TAKE_BACK_EVERY_S, self.lost_conversions.run_once),
        }

    async def _reconcile(self) -> None:
        await self.ledger.refresh()
        await self.reconciler.run_once()


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
    requeues, endings = Requeues(), Endings()
    ledger = Ledger(perfdb.spent, perfdb.events, clock)
    lineup, vigil = Lineup(perfdb.runs, ledger, clock), Vigil(clock)
    scheduling = Scheduling(perfdb.settings, lineup, clock)
    watchers = (_follow(lineup), vigil.watch, ledger.watch, requeues.watch, endings.watch)
    mover = Mover(perfdb.runs, listeners, clock, watchers=watchers)
    recorder = Recorder(perfdb, ledger)
    models = ModelRepository(perfdb.models, blobs, clock, max_bytes=max_upload_bytes, in_use=_in_use(perfdb))
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
    presence = Presence(perfdb.leaders, clock)
    outbox = Outbox(
        jobs=perfdb.jobs,
        runs=perfdb.runs,
        presence=presence,
        lineup=lineup,
        roster=roster,
        bell=bell,
        clock=clock,
        policy=policy,
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
    conversion_mover = ConversionMover(perfdb.conversions, clock)
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
            outbox=outbox,
        ),
        planner=Planner(preparer=preparer, dispatcher=dispatcher, scheduling=scheduling, lineup=lineup, ledger=ledger),
        dispatcher=dispatcher,
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
            perfdb=perfdb,
            mover=mover,
            followers=followers,
            lineup=lineup,
            bell=bell,
            clock=clock,
            policy=policy,
            vigil=vigil,
        ),
        reconciler=reconciler,
        scheduling=scheduling,
        explainer=Explainer(perfdb.runs, dispatcher, scheduling, lineup, clock),
        history=History(ledger, dispatcher, scheduling, clock),
        lineup=lineup,
        ledger=ledger,
        requeues=requeues,
        endings=endings,
        outbox=outbox,
        presence=presence,
        roster=roster,
        utilisation=Utilisation(dispatcher=dispatcher, roster=roster, lineup=lineup, clock=clock, policy=policy),
        conversions=Conversions(perfdb.conversions, models, conversion_mover, bell, clock),
        converters=Converters(
            conversions=perfdb.conversions,
            models=models,
            mover=conversion_mover,
            bell=bell,
            clock=clock,
            policy=policy,
            broker_url=broker_url,
        ),
        lost_conversions=LostConversions(
            conversions=perfdb.conversions,
            models=models,
            mover=conversion_mover,
            bell=bell,
            clock=clock,
            policy=policy,
        ),
    )


def _follow(lineup: Lineup) -> Watcher:
    async def watch(run: Run) -> None:
        lineup.moved(run)

    return watch


def _in_use(perfdb: PerfDB) -> InUse:
    async def in_use(name: str, version: int) -> bool:
        return await perfdb.runs.needs_model(name, version) or await perfdb.conversions.needs_model(name, version)

    return in_use
