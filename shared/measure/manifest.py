"""What the columns cannot tell: with the raw samples, all that is needed to derive the record's figures again.

Readings are raw here and summarised by pure functions, like the samples; so ``recompute`` starts from the same
facts as the follower did. Times are monotonic integer nanoseconds of the follower's host.
"""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from shared.jobs.slo import SloSpec
from shared.measure.link import LinkReading
from shared.measure.server_work import CounterReading


class Fact(BaseModel):
    """A part of the manifest."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ProcessReading(Fact):
    """What a process tree had used by a moment, and what it held then. None: not to be had here."""

    at_ns: int
    cpu_ns: int  # since the first reading, by all of them together
    rss_bytes: int
    threads: int | None = None
    context_switches: int | None = None  # voluntary and involuntary, since the first reading
    read_bytes: int | None = None  # from storage, since the first reading
    written_bytes: int | None = None
    throttled_ns: int | None = None  # by a CPU quota of its own control group, since the first reading


class HostReading(Fact):
    """Time that the slot's cores had given away by a moment, since the first reading, summed over the cores."""

    at_ns: int
    foreign_ns: int  # to processes that are neither service nor client
    steal_ns: int  # to other virtual machines
    throttled_ns: int | None = None  # of our own control group, by its CPU quota


class DeviceReading(Fact):
    """One accelerator at a moment. None: the driver does not tell."""

    at_ns: int
    index: int
    busy_pct: float | None
    memory_bytes: int | None
    power_w: float | None
    energy_mj: int | None  # counter, in millijoules


class Calibration(Fact):
    """What the client alone can do on this host, against a server that does nothing but answer."""

    protocol: Literal["http", "grpc"]
    request_bytes: int
    response_bytes: int
    connections: int
    workers: int
    ceiling_rps: float  # most requests per second, closed loop over these connections
    added_p50_us: float  # service latency against the null server: client, loopback and null server together
    added_p99_us: float
    lateness_p50_us: float  # of sends in an open loop: timer jitter
    lateness_p99_us: float
    measured_at: datetime
    reused: bool = False  # measured for an earlier run of the same shape on the same host


class HostLimits(Fact):
    """Use of the slot's cores by others, as a share of their time: what marks a run, and what makes it invalid."""

    mark_above: float
    invalid_above: float
    steal_invalid_above: float = 0.1
    throttled_invalid_above: float = 0.05


class Circumstances(Fact):
    """Everything beside the columns that the analysis reads."""

    origin_ns: int  # when the plan's zero fell
    max_in_flight: int
    mean_in_flight: float | None = None  # as the senders counted it over the planned window
    batch_size: int = 1  # samples in one request
    client_cores: int = 1
    host_cores: int = 1  # the slot's cores, over which the host readings are summed
    workers: int = 1
    slo: SloSpec | None = None
    calibration: Calibration | None = None
    server: tuple[ProcessReading, ...] = ()
    client: tuple[ProcessReading, ...] = ()
    host: tuple[HostReading, ...] = ()
    devices: tuple[DeviceReading, ...] = ()
    busy_before: float | None = None  # share of the slot's cores used by others before the start
    limits: HostLimits | None = None  # None: the host is not judged
    counters: tuple[CounterReading, ...] = ()  # of the server itself, at the edges of the window
    unavailable: dict[str, str] = {}  # what could not be read -> why
    collector_cpu_ns: int | None = None  # spent by the collectors themselves inside the window
    link: LinkReading | None = None  # None: the job asks for none


class Manifest(Fact):
    """The raw file's description of its run."""

    schema_version: Literal[1] = 1
    run_id: str
    attempt: int
    spec: dict[str, Any]  # the effective RunSpec
    payload_count: int
    plan_sha256: str
    circumstances: Circumstances
