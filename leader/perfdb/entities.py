"""What PerfDB holds, as values. How they become documents is ``leader.perfdb.documents``."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, NamedTuple

from shared.jobs.conversion import ConversionStatus
from shared.jobs.lifecycle import RunState, RunStatus
from shared.measure.record import Record
from shared.scheduling.backlog import SlotKey
from shared.scheduling.needs import Needs
from shared.scheduling.setup_times import Served
from shared.wire.assignment import BlobPin, ModelPin, Result
from shared.wire.identity import Registration
from shared.workload.search import Finished, Probe

TERMINAL_EVENT_N = 1_000_000
"""The ``n`` of a run's last event. Under one fence the order is: the leader's claim or requeue (n = 0), the
follower's progress (1 .. 999_999), the end (1_000_000). So ids are distinct and ordered although one fence sees
both a claim and an end."""


@dataclass(frozen=True, kw_only=True)
class Event:
    """One line of a run's story, the leader's or the follower's."""

    run_id: str
    fence: int
    n: int
    at: datetime
    kind: str
    message: str
    data: dict[str, Any] = field(default_factory=dict)

    @property
    def id(self) -> str:
        return f"{self.fence}.{self.n}"

    @property
    def position(self) -> tuple[int, int]:
        return self.fence, self.n


@dataclass(frozen=True, kw_only=True)
class SearchProbe:
    """A rate that a search tries. ``judged`` says what came of it, once its run has ended as ``ended``."""

    rate_rps: float
    decided_at: datetime
    ended: RunState | None = None
    judged: Probe | None = None  # None also where the run was cancelled: it says nothing about the rate


@dataclass(frozen=True, kw_only=True)
class Search:
    """A search at one point of a job: its probes in order, and its end once it has one.

    ``point`` is the index of the run of its first probe.
    """

    point: int
    probes: tuple[SearchProbe, ...]
    end: Finished | None = None


@dataclass(frozen=True, kw_only=True)
class Origin:
    """The run whose record stands in for that of another, which was not run."""

    run_id: str
    follower: str
    measured_at: datetime


class ReuseKey(NamedTuple):
    """What decides whether a record may stand in for a run: see ``shared.jobs.keys``."""

    point: str
    seed: int


@dataclass(frozen=True, kw_only=True)
class Job:
    """A submitted job. ``models`` and ``datasets`` (traces among them) fix by digest what its runs name.

    ``complete``: all runs are stored. ``run_count`` grows while a job searches: the runs of a search are decided on
    here, one step at a time, and derived from here like all the others. ``steps`` counts these changes. ``reused``:
    index of a run that is not run -> whose record it has.
    """

    id: str
    owner: str
    team: str
    name: str
    priority: str
    idempotency_key: str
    body_sha256: str
    spec: dict[str, Any]  # JobSpec as JSON
    run_count: int
    models: tuple[ModelPin, ...] = ()
    datasets: tuple[BlobPin, ...] = ()
    searches: tuple[Search, ...] = ()
    searching: bool = False  # a search has no end yet, and nobody cancelled it
    steps: int = 0
    reused: Mapping[int, Origin] = field(default_factory=dict)
    complete: bool = False
    created_at: datetime


@dataclass(frozen=True, kw_only=True)
class Run:
    """A run. ``history`` holds the leader's own events; it moves in the same write as ``status``."""

    id: str
    job_id: str
    name: str
    team: str
    owner: str
    priority: str = "normal"
    index: int
    repeat: int
    point: dict[str, Any]
    spec: dict[str, Any]  # RunSpec as JSON
    needs: Needs = ()
    predicted_s: float  # p50 at the submit
    predicted_p90_s: float | None = None  # None in runs of older versions
    served: Served | None = None  # the same
    deadline_at: datetime | None = None
    comparability_key: str
    model: ModelPin | None = None
    dataset: BlobPin | None = None
    trace: BlobPin | None = None
    status: RunStatus = field(default_factory=RunStatus)
    follower: str | None = None  # the last to hold it
    history: tuple[Event, ...] = ()
    recorded: bool = False  # what follows from its end is stored: record, usage
    no_record: str | None = None  # why a run that was measured has none, and never will
    reused_from: Origin | None = None  # it was not run: this one's record is its own
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, kw_only=True)
class AcceptedJob:
    """What announcing needs of a job."""

    id: str
    run_count: int


@dataclass(frozen=True, kw_only=True)
class WaitingRun:
    """What scheduling needs of a queued run: small, so that all of a long queue can be read."""

    id: str
    job_id: str
    team: str
    priority: str
    predicted_s: float
    predicted_p90_s: float | None
    needs: Needs
    served: Served | None
    fence: int
    deadline_at: datetime | None = None
    bound_to: SlotKey | None = None
    not_before: datetime | None = None
    avoid: tuple[str, ...] = ()
    created_at: datetime


@dataclass(frozen=True, kw_only=True)
class HeldLease:
    """A lease as it stands: a renewal changes its end, a claim the fence. Small, because all are read every second."""

    run_id: str
    fence: int
    expires_at: datetime


@dataclass(frozen=True, kw_only=True)
class Spent:
    """What an ended run took of the slots: all its attempts, by the leader's clock. Derived from run and evidence.

    ``setup_s`` and ``collection_s`` are of a run that succeeded, where its story tells when its load began.
    """

    run_id: str
    team: str
    follower: str
    served: Served
    occupied_s: float  # by all attempts
    last_s: float  # by the last attempt
    predicted_s: float
    predicted_p90_s: float | None
    setup_s: float | None = None
    collection_s: float | None = None
    submitted_at: datetime | None = None  # None in entries of older versions
    device: str | None = None  # the same
    ended_at: datetime


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What an attempt delivered, whether or not it counted. ``sha256`` is the digest of the result's JSON."""

    run_id: str
    attempt: int
    fence: int
    follower: str
    sha256: str
    result: Result
    received_at: datetime
    clock_offset_s: float | None = None  # of the follower then: the leader's clock minus its own


@dataclass(frozen=True, kw_only=True)
class StoredArtifact:
    """A file that an attempt left; its bytes are a blob."""

    run_id: str
    attempt: int
    kind: Literal["samples", "log"]
    sha256: str
    size_bytes: int


@dataclass(frozen=True, kw_only=True)
class LeaderboardEntry:
    """The few facts of a record that a leaderboard shows: small and flat, so that thousands are read quickly."""

    run_id: str
    job_id: str
    comparability_key: str
    name: str
    team: str
    model: str
    follower: str
    hardware: str
    platform: str
    configuration: dict[str, Any]
    metrics: dict[str, float | None]
    verdict: str
    reuse_key: ReuseKey | None = None  # None: it stands in for no other run
    created_at: datetime

    @property
    def origin(self) -> Origin:
        """What a run that reuses it shows."""
        return Origin(run_id=self.run_id, follower=self.follower, measured_at=self.created_at)


@dataclass(frozen=True, kw_only=True)
class Task:
    """What all records of one comparability key share."""

    comparability_key: str
    facts: dict[str, Any]
    record_count: int
    last_at: datetime


@dataclass(frozen=True, kw_only=True)
class StoredRecord:
    """An accepted record with what is derived from it for the leaderboard."""

    record: Record
    entry: LeaderboardEntry
    task: Task


@dataclass(frozen=True, kw_only=True)
class Follower:
    """A follower as it last registered, and when it was last heard of."""

    registration: Registration
    last_seen_at: datetime
    busy_slots: tuple[str, ...] = ()
    cordoned: bool = False  # it finishes what it has and is given nothing new
    left: bool = False  # it said good-bye
    clock_offset_s: float | None = None  # the leader's clock minus its own, when last heard of


@dataclass(frozen=True, kw_only=True)
class Token:
    """A token's digest and what it may do; the token itself is never stored.

    ``follower``: the one follower that a follower's token may speak for; None for any.
    """

    sha256: str
    name: str
    role: str
    follower: str | None = None
    created_at: datetime


@dataclass(frozen=True, kw_only=True)
class JobFilter:
    """Equality only: a filter can never carry an operator."""

    team: str | None = None
    name: str | None = None
    owner: str | None = None


@dataclass(frozen=True, kw_only=True)
class RecordFilter:
    """Equality only."""

    job_id: str | None = None
    model: str | None = None
    platform: str | None = None
    team: str | None = None


Counts = dict[RunState, int]


@dataclass(frozen=True, kw_only=True)
class Conversion:
    """A conversion in the background. ``source`` fixes by digest what is converted; ``moves`` counts its moves."""

    id: str
    owner: str
    idempotency_key: str
    body_sha256: str
    source: ModelPin
    to: str
    dataset: str | None
    name: str  # of the new model
    status: ConversionStatus = field(default_factory=ConversionStatus)
    moves: int = 0
    created_at: datetime
    updated_at: datetime
