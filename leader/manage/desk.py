"""The manage layer in one piece: what the API calls, built once at start."""

from dataclasses import dataclass

from leader.broker.protocol import Bell
from leader.manage.datasets import Datasets
from leader.manage.events import Events
from leader.manage.followers import Followers
from leader.manage.policy import LeasePolicy
from leader.manage.queue import Queue
from leader.manage.reads import Reads
from leader.manage.submit import Submissions
from leader.perfdb.protocol import PerfDB
from model_repo.protocol import BlobStore, ModelStore
from shared.clock import Clock


@dataclass(frozen=True)
class Desk:
    """Everything that a request can ask for. ``run_background`` keeps the queue moving until it is cancelled."""

    perfdb: PerfDB
    submissions: Submissions
    queue: Queue
    followers: Followers
    events: Events
    reads: Reads
    models: ModelStore
    datasets: Datasets

    async def start(self) -> None:
        """Prepare the database (indexes, schema) and repair what a crash left. Raises Unavailable, Conflict."""
        raise NotImplementedError

    async def run_background(self) -> None:
        """Reap leases and reconcile, every few seconds, for ever. An outage of the store is logged and outlived."""
        raise NotImplementedError


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
    raise NotImplementedError
