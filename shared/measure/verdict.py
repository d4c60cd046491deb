"""May the measurement be believed? Every check is one function from the evidence to reasons; the gravest kind wins."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from shared.measure.backlog import Overload
from shared.measure.interference import disturbance, interference
from shared.measure.link import LinkReading, link_faults
from shared.measure.manifest import Calibration, HostLimits
from shared.measure.record import HostUse, LoadFidelity, Verdict, VerdictKind
from shared.measure.stationarity import Stationarity

LEAST_ACHIEVED: Final = 0.99
"""Share of the planned requests that must have been sent inside the window; the convention of published load tests."""

MOST_CLIENT_CPU: Final = 0.85
"""Share of the client's cores above which its own queueing shows in the latencies; the convention of MLPerf's and
other clients' self-checks."""

MOST_OF_CEILING: Final = 0.8
"""Share of what the client alone can send, above which it is the client that is measured."""

LEAST_SAMPLES: Final = 100
"""Below it, the nearest-rank p99 is the largest sample and nothing else."""

MOST_LITTLE_ERROR: Final = 0.02
"""Little's law is exact here (see ``shared.measure.little``); 2 % leaves room for stamps taken a moment apart."""

MOST_ERRORS: Final = 0.05
"""Share of failed requests above which the latency of the rest describes another load than the one asked for."""

MOST_LATENESS: Final = 0.05
"""Share of the mean response latency that the sender itself may add by being late."""


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What the verdict rests on. None: not known, which is evidence of nothing."""

    load: LoadFidelity
    window_s: float
    samples: int  # successful requests of the window
    error_rate: float
    lateness_share: float | None  # of the mean response latency, of the successful requests
    cap_reached: int | None = None  # the plan's cap on requests in flight, if requests waited for it
    all_at_once: bool = False  # then they wait for it by intention
    overload: Overload | None = None
    settled: bool = True  # within the third of the window that warming up may take
    stationarity: Stationarity = field(default_factory=Stationarity)
    lag1: float | None = None
    little_error: float | None = None
    faults: tuple[str, ...] = ()
    client_cpu_pct: float | None = None  # mean over the window; 100 is one core
    client_cores: int = 1
    calibration: Calibration | None = None
    host: HostUse | None = None
    busy_before: float | None = None
    limits: HostLimits | None = None
    link: LinkReading | None = None


def judge(evidence: Evidence) -> Verdict:
    """The gravest kind that has a reason, or ``stable``; all reasons, the gravest first."""
    found = {kind: tuple(reason for check in checks for reason in check(evidence)) for kind, checks in CHECKS.items()}
    latency, in_flight = evidence.stationarity.latency, evidence.stationarity.in_flight
    return Verdict(
        kind=next(kind for kind in CHECKS if found[kind] or kind == "stable"),
        reasons=tuple(reason for reasons in found.values() for reason in reasons),
        capacity_rps=evidence.overload.capacity_rps if evidence.overload else None,
        windows_spread=evidence.stationarity.spread,
        latency_slope_p=latency.slope_p if latency else None,
        in_flight_slope_p=in_flight.slope_p if in_flight else None,
        lag1=evidence.lag1,
    )


def _no_success(evidence: Evidence) -> Iterator[str]:
    if not evidence.samples:
        yield "no request of the window succeeded"


def _bookkeeping(evidence: Evidence) -> Iterator[str]:
    yield from evidence.faults
    error = evidence.little_error
    if error is not None and error > MOST_LITTLE_ERROR:
        yield (
            f"Little's law is off by {error:.1%}, more than {MOST_LITTLE_ERROR:.0%}: samples are missing or mis-stamped"
        )


def _interference(evidence: Evidence) -> Iterator[str]:
    if evidence.host is not None:
        yield from interference(evidence.host, evidence.limits)


def _link_off(evidence: Evidence) -> Iterator[str]:
    if evidence.link is not None:
        yield from link_faults(evidence.link)


def _sent_too_little(evidence: Evidence) -> Iterator[str]:
    """One request of slack, because one may fall on either side of the window's edge."""
    planned = evidence.load.planned
    if planned is None or evidence.cap_reached:
        return
    sent = round(evidence.load.sent_rps * evidence.window_s)
    if sent + 1 < LEAST_ACHIEVED * planned:
        yield (
            f"client-limited: {sent} of {planned} planned requests ({sent / planned:.1%}) were taken up inside the"
            f" window; at least {LEAST_ACHIEVED:.0%} are needed"
        )


def _client_busy(evidence: Evidence) -> Iterator[str]:
    used = evidence.client_cpu_pct
    if used is not None and used > MOST_CLIENT_CPU * 100 * evidence.client_cores:
        yield (
            f"client-limited: the client used {used:.0f} % CPU of {evidence.client_cores} core(s);"
            f" above {MOST_CLIENT_CPU:.0%} its own queueing shows"
        )


def _near_ceiling(evidence: Evidence) -> Iterator[str]:
    calibration, sent = evidence.calibration, evidence.load.sent_rps
    if calibration is not None and sent > MOST_OF_CEILING * calibration.ceiling_rps:
        yield (
            f"client-limited: {sent:.4g} requests/s were sent, more than {MOST_OF_CEILING:.0%} of the"
            f" {calibration.ceiling_rps:.4g} that the client alone can send"
        )


def _late(evidence: Evidence) -> Iterator[str]:
    share = evidence.lateness_share
    if share is not None and share > MOST_LATENESS and not evidence.cap_reached:
        yield (
            f"client-limited: {share:.1%} of the mean response latency is in no stage: the sender was late;"
            f" at most {MOST_LATENESS:.0%} is expected"
        )


def _overloaded(evidence: Evidence) -> Iterator[str]:
    if evidence.overload:
        yield evidence.overload.reason


def _drifting(evidence: Evidence) -> Iterator[str]:
    """An overloaded run drifts as well; that says nothing more."""
    if evidence.overload:
        return
    if not evidence.settled:
        yield "drifting: latencies had not settled after a third of the window"
    yield from evidence.stationarity.drifts()


def _cap_reached(evidence: Evidence) -> Iterator[str]:
    if evidence.cap_reached and not evidence.all_at_once:
        yield f"requests waited in the client: the declared cap of {evidence.cap_reached} in flight was reached"


def _too_many_errors(evidence: Evidence) -> Iterator[str]:
    if evidence.error_rate > MOST_ERRORS:
        yield (
            f"{evidence.error_rate:.1%} of the requests failed; above {MOST_ERRORS:.0%} the latency of the others"
            " describes a smaller load"
        )


def _too_few(evidence: Evidence) -> Iterator[str]:
    if 0 < evidence.samples < LEAST_SAMPLES:
        yield f"few samples: {evidence.samples}; below {LEAST_SAMPLES} the p99 is only the largest of them"


def _disturbed(evidence: Evidence) -> Iterator[str]:
    if evidence.host is not None:
        yield from disturbance(evidence.host, evidence.busy_before, evidence.limits)


CHECKS: Final[Mapping[VerdictKind, tuple[Callable[[Evidence], Iterator[str]], ...]]] = {
    "invalid": (_no_success, _bookkeeping, _link_off, _interference),
    "client-limited": (_sent_too_little, _client_busy, _near_ceiling, _late),
    "overloaded": (_overloaded,),
    "drifting": (_drifting,),
    "stable": (_cap_reached, _too_many_errors, _too_few, _disturbed),
}
"""What speaks for each kind, the gravest kind first; the last ones only mark a stable run."""
