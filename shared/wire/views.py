"""What the API shows: the response models of the leader, parsed by the command line."""

from datetime import datetime
from typing import Any, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from shared.errors import Problem
from shared.jobs.lifecycle import Cause, RunState
from shared.measure.record import Record
from shared.wire.identity import Capabilities, Inventory, Slot
from shared.workload.search import ProbeOutcome


class View(BaseModel):
    """A response body. Unknown keys pass, so that an older command line reads a newer leader."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class ProblemDocument(View):
    """application/problem+json (RFC 9457), with ``code`` stable and ``problems`` one entry per fault."""

    type: str = "about:blank"
    title: str
    status: int
    code: str
    detail: str
    instance: str | None = None
    problems: tuple[Problem, ...] = ()


class Eta(View):
    """Seconds from now, as predicted."""

    p50_s: float
    p90_s: float


class OriginView(View):
    """The run that measured what another shows, which was not run."""

    run_id: str
    follower: str
    measured_at: datetime


class RunView(View):
    """A run as it stands. ``reused_from``: nothing was run, because that run had measured the same."""

    id: str
    job_id: str
    index: int
    repeat: int = 0
    point: dict[str, Any] = Field(default_factory=dict)  # the sweep's values at this run
    state: RunState
    attempt: int
    fence: int
    follower: str | None = None
    cause: Cause | None = None
    detail: str | None = None
    log_tail: str | None = None
    no_record: str | None = None  # why a run that was measured has no record, and never will
    predicted_s: float
    predicted_p90_s: float | None = None
    reused_from: OriginView | None = None
    created_at: datetime
    updated_at: datetime
    spec: dict[str, Any]
    links: dict[str, str] = Field(default_factory=dict)

    @property
    def has_record(self) -> bool:
        """Whether there is a record, or will be in a moment."""
        return self.state.has_record and self.no_record is None


class ProbeView(View):
    """A rate that a search tries. ``outcome`` is None until its run has ended, and where it was cancelled.

    ``leans``: to which side the figures of an undecided probe point, where noise hides the side.
    """

    run_id: str
    rate_rps: float
    outcome: ProbeOutcome | None = None
    leans: Literal["met", "missed"] | None = None
    reason: str = ""


class SearchView(View):
    """A search for the highest rate that meets the limits, at one point of a job.

    ``rate_rps`` is that rate, once it is found: the highest whose measured figures keep the limits. The true limit is
    believed to lie between ``low_rps`` and ``high_rps``, which count sure outcomes only; None leaves that side open.
    A search that was cancelled has no answer.
    """

    repeat: int = 0
    point: dict[str, Any] = Field(default_factory=dict)
    state: Literal["searching", "found", "not-found", "cancelled"]
    rate_rps: float | None = None
    low_rps: float | None = None
    high_rps: float | None = None
    reason: str = ""
    probes: tuple[ProbeView, ...]


class JobView(View):
    """A job with the states of its runs counted. ``state``: queued, running, succeeded, invalid, failed or cancelled.

    While a job searches, ``run_count`` grows, and the job is running even where no run is at the moment. A failed
    probe of a search that found its rate does not make the job a failed one.
    """

    id: str
    name: str
    team: str
    owner: str
    priority: str
    state: str
    run_count: int
    run_states: dict[RunState, int]
    created_at: datetime
    spec: dict[str, Any]
    runs: tuple[RunView, ...] = ()
    searches: tuple[SearchView, ...] = ()  # where the runs are given, too
    links: dict[str, str] = Field(default_factory=dict)


ItemT = TypeVar("ItemT")


class Page(View, Generic[ItemT]):
    """One page of a list; ``next_cursor`` is opaque and absent on the last."""

    items: tuple[ItemT, ...]
    next_cursor: str | None = None


class PlannedRun(View):
    """A run that a job would have; or a search, which takes up to ``most_runs``, ``predicted_s`` in all.

    ``equal_runs``: the newest that measured the very same already, ``equal_count`` of all that were looked at.
    ``reused_from``: the job's ``reuse`` takes the numbers of that one, and this is not run.
    """

    index: int
    repeat: int
    point: dict[str, Any]
    most_runs: int = 1
    predicted_s: float
    predicted_p90_s: float | None = None
    equal_runs: tuple[str, ...] = ()
    equal_count: int = 0
    reused_from: OriginView | None = None


class PlanView(View):
    """What a job would do, without doing it. ``is_upper_bound``: it searches, and may need fewer probes.

    ``predicted_s`` is of what is to be run. ``starts_in`` and ``ends_in``: the first start and the last end, if it
    were submitted now; None where they are not in sight. ``forecast`` says why, or what they rest on.
    """

    name: str
    runs: tuple[PlannedRun, ...]
    predicted_s: float
    predicted_p90_s: float | None = None
    is_upper_bound: bool = False
    reuse: str = "never"
    starts_in: Eta | None = None
    ends_in: Eta | None = None
    forecast: str = ""
    comparability_keys: tuple[str, ...]


class EventView(View):
    """One event of a run; ``id`` is what ``Last-Event-ID`` takes to go on from there."""

    id: str
    run_id: str
    at: datetime
    kind: str
    message: str
    data: dict[str, Any] = Field(default_factory=dict)


class LeaderboardRow(View):
    """A record among its comparables."""

    rank: int
    run_id: str
    job_id: str
    name: str
    team: str
    follower: str
    hardware: str
    platform: str
    configuration: dict[str, Any]
    value: float | None
    metrics: dict[str, float | None]
    verdict: str
    created_at: datetime


class LeaderboardGroup(View):
    """Records that may be ranked together."""

    comparability_key: str
    task: dict[str, Any]  # model, dataset, workload ... that all rows share
    record_count: int
    rows: tuple[LeaderboardRow, ...]


class LeaderboardView(View):
    """The ranking by one metric, best first, one group per comparability key."""

    metric: str
    unit: str
    higher_is_better: bool
    groups: tuple[LeaderboardGroup, ...]


class ModelView(View):
    """A model version. ``state``: pending (bytes not yet complete and checked), ready, refused."""

    name: str
    version: int
    state: str
    sha256: str | None
    size_bytes: int | None
    card: dict[str, Any]
    detail: str | None = None
    created_at: datetime


DatasetKind = Literal["dataset", "trace"]


class DatasetView(View):
    """A dataset or a trace; built-in ones have no bytes in the store.

    ``kind`` follows from the bytes, so it is None until they are there. ``requests`` and ``span_s`` are a trace's.
    """

    name: str
    version: int
    builtin: bool
    kind: DatasetKind | None = None
    state: str = "ready"
    detail: str | None = None
    requests: int | None = None
    span_s: float | None = None  # from the first arrival to the last
    sha256: str | None = None
    size_bytes: int | None = None
    description: str = ""


class FollowerView(View):
    """A follower as the leader knows it. ``alive``: heard of within the lease, and not stopped.

    ``clock_offset_s``: the leader's wall clock minus the follower's, when it was last heard of.
    """

    name: str
    alive: bool
    last_seen_at: datetime
    version: str
    inventory: Inventory
    capabilities: Capabilities
    slots: tuple[Slot, ...]
    running: tuple[str, ...] = ()
    cordoned: bool = False  # it finishes what it has and is given nothing new
    stopped: bool = False  # it said so
    clock_offset_s: float | None = None


class TokenView(View):
    """A token as it is known after it was made. ``follower``: the only one that it may speak for; None for any."""

    name: str
    role: str
    follower: str | None = None
    created_at: datetime


class NewTokenView(TokenView):
    """A token that was just made: nobody can read it again."""

    token: str


class RecordView(View):
    """An accepted record. ``reused_from``: the run was not run, and the record is that one's."""

    run_id: str
    record: Record
    reused_from: OriginView | None = None
