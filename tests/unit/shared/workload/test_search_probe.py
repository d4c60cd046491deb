"""What a run's record says about the rate that it probed."""

from typing import Any

import pytest
from support.records import load, record

from shared.measure.record import LoadFidelity, Record, SloCheck, Verdict
from shared.workload.search import ProbeOutcome, probe_of


def probed(verdict: str = "stable", *checks: SloCheck, error_rate: float = 0.0, **more: Any) -> Record:
    """The record of a probe at 100/s."""
    sent = {**load().model_dump(), "offered_rps": 100.0}
    return record(
        load=LoadFidelity(**sent),
        spec={"workload": {"pattern": "poisson", "rate": 100.0}},
        verdict=Verdict.model_validate({"kind": verdict, "reasons": ("because",)} | more),
        slo=checks,
        error_rate=error_rate,
    )


def limit(name: str, allowed: float, measured: float | None, met: bool | None) -> SloCheck:
    """One limit of the job."""
    return SloCheck(limit=name, allowed=allowed, measured=measured, met=met, reason="662 are needed")


GOOD = limit("p99_ms", 50, 31, met=True)
BAD = limit("p99_ms", 50, 80, met=False)
CLOSE = limit("p99_ms", 50, 49, met=None)
OPEN = limit("p99_ms", 50, None, met=None)


@pytest.mark.parametrize(
    ("probe", "outcome", "reason"),
    [
        (probed("stable", GOOD), "met", "p99_ms 31 (limit 50)"),
        (probed("drifting", GOOD), "met", "p99_ms 31 (limit 50)"),
        (probed("stable", BAD, limit("p50_ms", 10, 8, met=True)), "missed", "p99_ms 80 (limit 50)"),
        (probed("stable", OPEN), "undecided", "p99_ms: 662 are needed (limit 50)"),
        (probed("stable", CLOSE), "undecided", "p99_ms 49 (limit 50, too close to tell)"),
        (probed("stable", OPEN, limit("p50_ms", 10, 12, met=False)), "missed", "p50_ms 12 (limit 10)"),
        (probed("stable"), "undecided", "no limit applies at this rate"),
        (probed("overloaded", GOOD), "missed", "because"),
        (probed("client-limited", BAD), "client-limited", "because"),
        (probed("invalid", BAD), "failed", "because"),
        (probed("invalid", BAD, error_rate=1.0), "missed", "because"),
    ],
)
def test_what_a_record_says_about_its_rate(probe: Record, outcome: ProbeOutcome, reason: str) -> None:
    """The verdict first, then the limits; the reason is what decided."""
    found = probe_of(probe)
    assert (found.rate_rps, found.outcome, found.reason) == (100.0, outcome, reason)


@pytest.mark.parametrize(
    ("checks", "leans"),
    [
        ((CLOSE,), "met"),
        ((CLOSE, limit("p50_ms", 10, 10.1, met=None)), "missed"),
        ((CLOSE, GOOD), "met"),
        ((CLOSE, OPEN), None),
        ((OPEN,), None),
        ((GOOD,), None),
        ((BAD, CLOSE), None),
    ],
)
def test_what_is_too_close_to_tell_leans_to_the_side_measured(checks: tuple[SloCheck, ...], leans: str | None) -> None:
    """Only where the outcome is undecided, and every open limit has a measured figure, or one of them is above."""
    assert probe_of(probed("stable", *checks)).leans == leans


def test_limits_kept_in_spite_of_a_slow_client_are_met() -> None:
    """Its lateness counts against the limits; but only if it sent what it should was the rate offered."""
    late = probed("client-limited", GOOD)
    assert probe_of(late).outcome == "met"
    assert probe_of(probed("client-limited", CLOSE)).outcome == "client-limited"
    few = load().model_copy(update={"sent": 590})
    assert load().planned == 600
    assert probe_of(late.model_copy(update={"load": few})).outcome == "client-limited"


def test_an_overloaded_record_tells_the_capacity() -> None:
    """As the verdict has it."""
    assert probe_of(probed("overloaded", GOOD, capacity_rps=71.0)).capacity_rps == 71.0


def test_a_throughput_asked_for_above_the_rate_does_not_count() -> None:
    """At 100/s no server completes 200/s; at 100/s it can."""
    above = limit("throughput_rps", 200, 100, met=False)
    assert probe_of(probed("stable", GOOD, above)).outcome == "met"
    assert probe_of(probed("stable", GOOD, limit("throughput_rps", 90, 80, met=False))).outcome == "missed"


def test_a_closed_loop_is_no_probe() -> None:
    """It offers no rate."""
    with pytest.raises(ValueError, match="offered no rate"):
        probe_of(record(load=load().model_copy(update={"offered_rps": None})))
