"""The verdict: each reason on its own, on evidence built for it, and which kind wins."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from support.records import is_clean

from shared.measure.backlog import Overload
from shared.measure.link import LinkReading
from shared.measure.manifest import Calibration, HostLimits
from shared.measure.record import HostUse, LoadFidelity
from shared.measure.stationarity import Stationarity
from shared.measure.trend import trend_of
from shared.measure.verdict import CHECKS, Evidence, judge

LOAD = LoadFidelity(
    pattern="constant", offered_rps=100, sent_rps=100, completed_rps=100, planned=1000, sent=1000, completed=1000,
    pending=0, send_lateness_p50_ms=0.01, send_lateness_p99_ms=0.1, send_lateness_max_ms=0.2, max_in_flight=3,
    seed=1, plan_sha256="0" * 64,
)  # fmt: skip
CALIBRATION = Calibration(
    protocol="http", request_bytes=100, response_bytes=100, connections=4, workers=1, ceiling_rps=1000.0,
    added_p50_us=50, added_p99_us=90, lateness_p50_us=10, lateness_p99_us=60,
    measured_at=datetime(2026, 3, 1, tzinfo=UTC),
)  # fmt: skip
LEVEL = trend_of(np.array([1.0, 1.01, 0.99] * 5))
RISING = trend_of(np.linspace(0.0, 1.0, 15) + np.array([0.0, 0.02, -0.02] * 5))
LIMITS = HostLimits(mark_above=0.1, invalid_above=0.3)
QUIET = HostUse(foreign_share=0.02, steal_share=0.0, throttled_share=None, collector_share=0.001)
OVERLOAD = Overload(capacity_rps=50.0, reason="overloaded: 100 requests/s were due, 50 were completed")
SLOW_LINK = LinkReading(
    driver="tun", delay_ms=4.0, jitter_ms=0.0, rate_mbit=None, loss_pct=0.0, round_trip_ms=9.0,
    round_trip_stddev_ms=0.1, round_trips=20,
)  # fmt: skip
GOOD = Evidence(
    load=LOAD, window_s=10.0, samples=1000, error_rate=0.0, lateness_share=0.01,
    stationarity=Stationarity(LEVEL, LEVEL, LEVEL), lag1=0.1, little_error=0.001, client_cpu_pct=20.0,
    calibration=CALIBRATION, host=QUIET, busy_before=0.01, limits=LIMITS,
)  # fmt: skip


def with_load(**fields: object) -> Evidence:
    """Good evidence but for the load."""
    return replace(GOOD, load=LOAD.model_copy(update=fields))


def with_host(**fields: object) -> Evidence:
    """Good evidence but for the host."""
    return replace(GOOD, host=QUIET.model_copy(update=fields))


def test_good_evidence_is_stable_without_reasons() -> None:
    """Nothing to say, and what was looked at is kept."""
    verdict = judge(GOOD)
    assert is_clean(verdict)
    assert verdict.kind == "stable"
    assert verdict.capacity_rps is None
    assert verdict.windows_spread == pytest.approx(0.0, abs=0.01)
    assert verdict.latency_slope_p == LEVEL.slope_p
    assert verdict.lag1 == 0.1


@pytest.mark.parametrize(
    ("evidence", "kind", "reason"),
    [
        (replace(GOOD, samples=0), "invalid", "no request of the window succeeded"),
        (replace(GOOD, little_error=0.03), "invalid", "Little's law is off by 3.0%"),
        (replace(GOOD, faults=("bookkeeping: x",)), "invalid", "bookkeeping: x"),
        (replace(GOOD, link=SLOW_LINK), "invalid", "the network link is off: its round trip took 9.00 ms"),
        (with_host(foreign_share=0.31), "invalid", "interference: others used 31.0% of the slot's cores"),
        (with_host(steal_share=0.11), "invalid", "interference: other virtual machines took 11.0%"),
        (with_host(throttled_share=0.06), "invalid", "interference: a CPU quota held the run back for 6.0%"),
        (with_load(sent_rps=98.0), "client-limited", "client-limited: 980 of 1000 planned"),
        (replace(GOOD, client_cpu_pct=90.0), "client-limited", "client-limited: the client used 90 % CPU of 1 core"),
        (with_load(sent_rps=801.0), "client-limited", "client-limited: 801 requests/s were sent, more than 80%"),
        (replace(GOOD, lateness_share=0.2), "client-limited", "client-limited: 20.0% of the mean response latency"),
        (replace(GOOD, overload=OVERLOAD), "overloaded", "overloaded: 100 requests/s were due, 50 were completed"),
        (replace(GOOD, settled=False), "drifting", "drifting: latencies had not settled"),
        (replace(GOOD, stationarity=Stationarity(latency=RISING)), "drifting", "drifting: latency changed by +1"),
        (replace(GOOD, stationarity=Stationarity(rate=RISING)), "drifting", "drifting: completed rate changed"),
        (replace(GOOD, stationarity=Stationarity(in_flight=RISING)), "drifting", "drifting: requests in"),
        (replace(GOOD, cap_reached=8), "stable", "requests waited in the client: the declared cap of 8 in flight"),
        (replace(GOOD, error_rate=0.06), "stable", "6.0% of the requests failed"),
        (replace(GOOD, samples=99), "stable", "few samples: 99"),
        (with_host(foreign_share=0.2), "stable", "host busy: others used 20.0% of the slot's cores inside the window"),
        (replace(GOOD, busy_before=0.2), "stable", "host busy: others used 20.0% of the slot's cores before the start"),
    ],
)  # fmt: skip
def test_each_fault_gives_its_kind_with_its_numbers(evidence: Evidence, kind: str, reason: str) -> None:
    """Exactly one reason that names what was found."""
    verdict = judge(evidence)
    assert verdict.kind == kind
    assert len(verdict.reasons) == 1
    assert verdict.reasons[0].startswith(reason)
    assert not is_clean(verdict)


@pytest.mark.parametrize(
    "evidence",
    [
        with_load(sent_rps=99.0),
        with_load(sent_rps=800.0),
        replace(GOOD, client_cpu_pct=85.0),
        replace(GOOD, client_cpu_pct=160.0, client_cores=2),
        replace(GOOD, error_rate=0.05),
        replace(GOOD, samples=100),
        replace(GOOD, little_error=0.02),
        replace(GOOD, lateness_share=0.05),
        with_host(foreign_share=0.1, steal_share=0.1, throttled_share=0.05),
        replace(with_host(foreign_share=0.9, steal_share=0.9), limits=None),
        Evidence(load=LOAD, window_s=10.0, samples=1000, error_rate=0.0, lateness_share=None),
        with_load(planned=None, offered_rps=None, sent_rps=3.0),
    ],
)
def test_a_limit_itself_is_still_good_and_what_is_unknown_raises_no_alarm(evidence: Evidence) -> None:
    """Thresholds are inclusive; missing evidence is not evidence."""
    assert is_clean(judge(evidence))


def test_the_gravest_kind_wins_and_every_reason_is_told() -> None:
    """From invalid down to a mark, taking the gravest away one at a time."""
    steps: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
        ("invalid", {"faults": ("bookkeeping: x",)}, {"faults": ()}),
        ("client-limited", {"client_cpu_pct": 99.0}, {"client_cpu_pct": 1.0}),
        ("overloaded", {"overload": OVERLOAD}, {"overload": None}),
        ("drifting", {"settled": False}, {"settled": True}),
        ("stable", {"error_rate": 0.5}, {"error_rate": 0.0}),
    ]
    evidence = replace(GOOD, **{key: value for _, fault, _ in steps for key, value in fault.items()})
    for place, (kind, _, cure) in enumerate(steps):
        verdict = judge(evidence)
        assert verdict.kind == kind
        drifting_hides_behind_overload = place <= 2
        assert len(verdict.reasons) == len(steps) - place - drifting_hides_behind_overload
        evidence = replace(evidence, **cure)
    assert list(CHECKS) == [kind for kind, _, _ in steps]


def test_the_capacity_is_told_also_where_a_graver_kind_wins() -> None:
    """An overloaded server that was also held back by its client is still known to complete so much."""
    verdict = judge(replace(GOOD, overload=OVERLOAD, client_cpu_pct=99.0))
    assert (verdict.kind, verdict.capacity_rps) == ("client-limited", 50.0)


def test_a_declared_cap_is_no_fault_of_the_client() -> None:
    """Requests that wait for it are late by the job's own wish; an offline run does not even mention it."""
    held = replace(with_load(sent_rps=50.0), cap_reached=8, lateness_share=0.9)
    assert judge(held).kind == "stable"
    assert len(judge(held).reasons) == 1
    assert is_clean(judge(replace(held, all_at_once=True)))


def test_one_request_may_fall_on_either_side_of_the_edge() -> None:
    """Nine of ten planned requests inside the window is the edge, not a slow sender; eight is."""
    small = replace(with_load(planned=10, sent_rps=0.9), window_s=10.0)
    assert is_clean(judge(small))
    assert judge(replace(small, load=small.load.model_copy(update={"sent_rps": 0.8}))).kind == "client-limited"
