"""What the leader needs of PerfDB, one small protocol per kind of thing.

Obligations of every method: a write that returned is durable (majority, journaled); what the store itself fails at
is ``Unavailable`` and nothing else of the driver comes through; strings and dicts of users are data, whatever
characters their keys have. Lists come in a declared order and are bounded by ``limit``.
"""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, Protocol

from leader.perfdb.entities import (
    AcceptedJob,
    Conversion,
    Counts,
    Event,
    Evidence,
    Follower,
    HeldLease,
    Job,
    JobFilter,
    LeaderboardEntry,
    RecordFilter,
    Run,
    Spent,
    StoredArtifact,
    StoredRecord,
    Task,
    Token,
    WaitingRun,
)
from model_repo.protocol import VersionStore
from shared.jobs.conversion import ConversionState, ConversionStatus
from shared.jobs.lifecycle import RunStatus
from shared.measure.record import Record
from shared.scheduling.backlog import SlotKey
from shared.wire.identity import Registration


class JobStore(Protocol):
    """Jobs, unique by (owner, idempotency key)."""

    async def add(self, job: Job) -> Job:
        """Store it and return it, or return the job that already has this owner and idempotency key."""
        ...

    async def submitted(self, owner: str, idempotency_key: str) -> Job | None:
        """What the owner submitted with the key, if anything."""
        ...

    async def get(self, job_id: str) -> Job:
        """Raises NotFound."""
        ...

    async def page(self, wanted: JobFilter, *, before: str | None, limit: int) -> list[Job]:
        """Newest first, with ids below ``before``."""
        ...

    async def accepted(self, *, after: str, limit: int) -> list[AcceptedJob]:
        """Jobs with ids above ``after``, oldest first, whoever accepted them."""
        ...

    async def mark_complete(self, job_ids: Collection[str]) -> None:
        """All runs of these jobs are stored."""
        ...

    async def incomplete(self, *, limit: int) -> list[Job]:
        """Jobs whose runs may be missing, oldest first."""
        ...

    async def step(self, job: Job, stepped: Job) -> bool:
        """Compare-and-set: ``stepped``'s searches and run count, one step on from ``job``.

        Happens only where the job still searches and has taken as many steps as ``job``; False where it has not.
        """
        ...

    async def end_searches(self, job_id: str) -> None:
        """No further step; what was decided before is to be completed. A job that does not search stays as it is."""
        ...

    async def searching(self, *, after: str, limit: int) -> list[Job]:
        """Jobs that search, with ids above ``after``, oldest first."""
        ...


class RunStore(Protocol):
    """Runs. ``move`` is the only way to change a status."""

    async def add_all(self, runs: Sequence[Run]) -> None:
        """Store those that are not stored yet; a run that exists is left as it is."""
        ...

    async def get(self, run_id: str) -> Run:
        """Raises NotFound."""
        ...

    async def of_job(self, job_id: str) -> list[Run]:
        """By index."""
        ...

    async def state_counts(self, job_ids: Collection[str]) -> dict[str, Counts]:
        """Job id -> how many runs are in each state."""
        ...

    async def waiting(self, *, limit: int) -> list[WaitingRun]:
        """What scheduling needs of every queued run, by priority class, then shortest first."""
        ...

    async def waiting_of(self, job_id: str) -> tuple[int, list[WaitingRun]]:
        """How many runs of the job are stored, in whatever state, and those that wait, by index."""
        ...

    async def bind(self, run_ids: Collection[str], slot: SlotKey) -> None:
        """These runs wait for that slot, as long as they wait."""
        ...

    async def leased(self) -> list[Run]:
        """All claimed and running ones."""
        ...

    async def leased_to(self, follower: str) -> list[Run]:
        """Claimed and running ones that the follower holds."""
        ...

    async def leases(self) -> list[HeldLease]:
        """Of all claimed and running ones."""
        ...

    async def move(self, run: Run, status: RunStatus, *, at: datetime, event: Event | None = None) -> Run | None:
        """Compare-and-set: the run gets ``status``, and ``event`` joins its history, in one write.

        Happens only where state, fence and the end of the lease are still those of ``run``; returns the moved run,
        or None where another was faster. Exactly one of several contenders wins. An unknown outcome of the write is
        read back, never sent again blindly.

        Raises:
            Conflict: the move gives a slot of a follower a second live attempt.
            Unavailable: the store failed and the move is known not to have happened, or nothing could be read back.
        """
        ...

    async def unrecorded(self, *, limit: int) -> list[Run]:
        """Ended ones of which what follows, record or usage, is not known to be stored; those measured come first.

        A run that ended without ever having been claimed is not among them: nothing follows from it.
        """
        ...

    async def mark_recorded(self, run_ids: Sequence[str]) -> None:
        """What follows from their ends is stored."""
        ...

    async def mark_without_record(self, run_id: str, reason: str) -> None:
        """It was measured and never will have a record; what else follows is stored."""
        ...

    async def needs_model(self, name: str, version: int) -> bool:
        """Whether a live run uses the model version."""
        ...


class EventStore(Protocol):
    """Followers' progress events; the leader's own are in the run."""

    async def append(self, events: Sequence[Event]) -> None:
        """Idempotent by (run, fence, n): the first one stays."""
        ...

    async def after(self, run_id: str, position: tuple[int, int], *, limit: int) -> list[Event]:
        """Events with (fence, n) above ``position``, in that order."""
        ...


class EvidenceStore(Protocol):
    """What attempts delivered."""

    async def add(self, evidence: Evidence) -> Evidence:
        """Store it and return it, or return what the attempt had delivered before."""
        ...

    async def get(self, run_id: str, attempt: int) -> Evidence:
        """Raises NotFound."""
        ...

    async def add_artifact(self, artifact: StoredArtifact) -> None:
        """Replaces one of the same run, attempt and kind."""
        ...

    async def artifacts(self, run_id: str, attempt: int) -> list[StoredArtifact]: ...


class RecordStore(Protocol):
    """Accepted records and what the leaderboard needs of them; all derived from evidence, so ``put`` may repeat."""

    async def put(self, stored: StoredRecord) -> None: ...

    async def get(self, run_id: str) -> Record:
        """Raises NotFound."""
        ...

    async def page(self, wanted: RecordFilter, *, before: str | None, limit: int) -> list[Record]:
        """Newest run first, with run ids below ``before``."""
        ...

    async def tasks(self, wanted: RecordFilter, *, limit: int) -> list[Task]:
        """Those with a record that fits the filter, most recently measured first."""
        ...

    async def task(self, comparability_key: str) -> Task | None: ...

    async def best(self, key: str, metric: str, wanted: RecordFilter, *, limit: int) -> list[LeaderboardEntry]:
        """The best entries of one key by a registered metric: in rank order, those without a number at the end.

        Records judged invalid are not among them.
        """
        ...

    async def of_points(self, point_keys: Collection[str], *, limit: int) -> list[LeaderboardEntry]:
        """The newest valid ones under each of these point keys, at most ``limit`` of each, newest first."""
        ...


class FollowerStore(Protocol):
    """Followers by name."""

    async def put(
        self,
        registration: Registration,
        *,
        at: datetime,
        replacing: Follower | None = None,
        clock_offset_s: float | None = None,
    ) -> bool:
        """Compare-and-set: it is registered, where the name is still ``replacing``'s, or (None) nobody's.

        False where another was faster, or ``replacing`` was heard of since. A cordoned one stays so.
        """
        ...

    async def cordon(self, name: str, *, cordoned: bool) -> None:
        """Raises NotFound."""
        ...

    async def get(self, name: str) -> Follower:
        """Raises NotFound."""
        ...

    async def all(self) -> list[Follower]:
        """By name."""
        ...

    async def touch(
        self,
        name: str,
        *,
        incarnation: str,
        at: datetime,
        busy_slots: Sequence[str] = (),
        clock_offset_s: float | None = None,
        left: bool = False,
    ) -> bool:
        """It was heard of, perhaps for the last time. False where this incarnation is not the one registered."""
        ...


class LeaderStore(Protocol):
    """Leaders that are at work, each with a count that grows while it is."""

    async def put(self, name: str, beats: int) -> None: ...

    async def all(self) -> dict[str, int]: ...

    async def remove(self, name: str) -> None:
        """One that is not there is no fault."""
        ...


class SpentStore(Protocol):
    """What ended runs took of the slots; derived, so ``put`` may repeat."""

    async def put(self, spent: Spent) -> None: ...

    async def newest(self, *, since: datetime | None, limit: int) -> list[Spent]:
        """Those that ended since then, newest first."""
        ...


class SettingsStore(Protocol):
    """What an administrator set, by name."""

    async def get(self, name: str) -> dict[str, Any] | None: ...

    async def put(self, name: str, value: dict[str, Any]) -> None: ...


class TokenStore(Protocol):
    """Tokens by digest."""

    async def add(self, token: Token) -> None:
        """A token of the same name is replaced."""
        ...

    async def create(self, token: Token) -> None:
        """Raises Conflict where there is one of this name."""
        ...

    async def find(self, sha256: str) -> Token | None: ...

    async def all(self) -> list[Token]:
        """By name."""
        ...

    async def remove(self, name: str) -> None:
        """Raises NotFound."""
        ...


class ConversionStore(Protocol):
    """Conversions in the background, unique by (owner, idempotency key). ``move`` alone changes a status."""

    async def add(self, conversion: Conversion) -> Conversion:
        """Store it and return it, or return the one that already has this owner and idempotency key."""
        ...

    async def get(self, conversion_id: str) -> Conversion:
        """Raises NotFound."""
        ...

    async def page(self, state: ConversionState | None, *, before: str | None, limit: int) -> list[Conversion]:
        """Newest first, with ids below ``before``."""
        ...

    async def oldest(self, state: ConversionState, *, limit: int) -> list[Conversion]:
        """Oldest first."""
        ...

    async def move(self, conversion: Conversion, status: ConversionStatus, *, at: datetime) -> Conversion | None:
        """Compare-and-set: it gets ``status``, where nothing moved it since ``conversion`` was read.

        The moved one, or None where another was faster. An unknown outcome of the write is read back.
        """
        ...

    async def needs_model(self, name: str, version: int) -> bool:
        """Whether a live conversion has the model version as its source."""
        ...


class PerfDB(Protocol):
    """All of them over one connection."""

    @property
    def jobs(self) -> JobStore: ...
    @property
    def runs(self) -> RunStore: ...
    @property
    def events(self) -> EventStore: ...
    @property
    def evidence(self) -> EvidenceStore: ...
    @property
    def records(self) -> RecordStore: ...
    @property
    def followers(self) -> FollowerStore: ...
    @property
    def leaders(self) -> LeaderStore: ...
    @property
    def spent(self) -> SpentStore: ...
    @property
    def settings(self) -> SettingsStore: ...
    @property
    def tokens(self) -> TokenStore: ...
    @property
    def models(self) -> VersionStore: ...
    @property
    def datasets(self) -> VersionStore: ...
    @property
    def conversions(self) -> ConversionStore: ...

    async def prepare(self) -> None:
        """Create what is missing (indexes, schema mark). Raises Unavailable, and Conflict on a newer schema."""
        ...

    async def ping(self) -> datetime | None:
        """The server's clock now, where it tells it. Raises Unavailable."""
        ...

    async def close(self) -> None: ...
