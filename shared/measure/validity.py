"""May the measurement be believed? Every check is one function from the evidence to a reason, or to nothing."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from shared.measure.backlog import Backlog
from shared.measure.record import LoadFidelity, Validity

LEAST_ACHIEVED: Final = 0.99
"""Share of the planned requests that must have been sent inside the window; the convention of published load tests."""

MOST_CLIENT_CPU: Final = 0.85
"""Share of the client's cores above which its own queueing shows in the latencies; the convention of MLPerf's and
other clients' self-checks."""

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
    """What the verdict rests on."""

    load: LoadFidelity
    window_s: float
    samples: int  # successful requests of the window
    error_rate: float
    unattributed_share: float | None  # of the mean response latency, where the server reported its part
    backlog: Backlog | None  # None for a closed loop
    little_error: float | None  # None where the sender did not count
    client_cpu_pct: float | None  # mean over the window; 100 is one core
    client_cores: int
    host_busy: str | None  # why the host was not idle enough, found before the start


def judge(evidence: Evidence) -> Validity:
    """``invalid`` without a single success, ``marked`` with at least one reason, ``valid`` otherwise."""
    reasons = tuple(reason for check in _CHECKS for reason in check(evidence))
    if not evidence.samples:
        return Validity(verdict="invalid", reasons=("no request of the window succeeded", *reasons))
    return Validity(verdict="marked" if reasons else "valid", reasons=reasons)


def _overloaded(evidence: Evidence) -> Iterator[str]:
    load, backlog = evidence.load, evidence.backlog
    if backlog is not None and backlog.is_growing:
        yield (
            f"overloaded: {load.offered_rps or load.sent_rps:.4g} requests/s were due, {load.completed_rps:.4g}"
            f" were completed, and the backlog grew by {backlog.growth_per_s:.3g} a second;"
            " no steady latency exists at this rate"
        )


def _sent_too_little(evidence: Evidence) -> Iterator[str]:
    """One request of slack, because one may fall on either side of the window's edge."""
    planned = evidence.load.planned
    if planned is None:
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


def _late(evidence: Evidence) -> Iterator[str]:
    share = evidence.unattributed_share
    if share is not None and share > MOST_LATENESS:
        yield (
            f"{share:.1%} of the mean response latency is in no stage: the sender was late;"
            f" at most {MOST_LATENESS:.0%} is expected"
        )


def _too_few(evidence: Evidence) -> Iterator[str]:
    if 0 < evidence.samples < LEAST_SAMPLES:
        yield f"few samples: {evidence.samples}; below {LEAST_SAMPLES} the p99 is only the largest of them"


def _too_many_errors(evidence: Evidence) -> Iterator[str]:
    if evidence.error_rate > MOST_ERRORS:
        yield (
            f"{evidence.error_rate:.1%} of the requests failed; above {MOST_ERRORS:.0%} the latency of the others"
            " describes a smaller load"
        )


def _bookkeeping(evidence: Evidence) -> Iterator[str]:
    error = evidence.little_error
    if error is not None and error > MOST_LITTLE_ERROR:
        yield (
            f"Little's law is off by {error:.1%}, more than {MOST_LITTLE_ERROR:.0%}: samples are missing or mis-stamped"
        )


def _busy_host(evidence: Evidence) -> Iterator[str]:
    if evidence.host_busy:
        yield f"host busy: {evidence.host_busy}"


_CHECKS: Final[tuple[Callable[[Evidence], Iterator[str]], ...]] = (
    _overloaded,
    _sent_too_little,
    _client_busy,
    _late,
    _too_many_errors,
    _too_few,
    _bookkeeping,
    _busy_host,
)
"""All checks, most telling first."""
