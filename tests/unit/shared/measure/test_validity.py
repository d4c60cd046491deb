"""The verdict: each reason on its own, on evidence built for it."""

from dataclasses import replace

import pytest

from shared.measure.backlog import Backlog
from shared.measure.record import LoadFidelity
from shared.measure.validity import Evidence, judge

LOAD = LoadFidelity(
    pattern="constant", offered_rps=100, sent_rps=100, completed_rps=100, planned=1000, sent=1000, completed=1000,
    pending=0, send_lateness_p50_ms=0.01, send_lateness_p99_ms=0.1, send_lateness_max_ms=0.2, max_in_flight=3,
    seed=1, plan_sha256="0" * 64,
)  # fmt: skip
GOOD = Evidence(
    load=LOAD, window_s=10.0, samples=1000, error_rate=0.0, unattributed_share=0.01, backlog=Backlog(0.1, 0.3, 0.001),
    little_error=0.001, client_cpu_pct=20.0, client_cores=1, host_busy=None,
)  # fmt: skip


def with_load(**fields: object) -> Evidence:
    """Good evidence but for the load."""
    return replace(GOOD, load=LOAD.model_copy(update=fields))


def test_good_evidence_is_valid_without_reasons() -> None:
    """Nothing to say."""
    verdict = judge(GOOD)
    assert verdict.verdict == "valid"
    assert verdict.reasons == ()


@pytest.mark.parametrize(
    ("evidence", "reason"),
    [
        (replace(GOOD, backlog=Backlog(50.0, 0.999, 0.5)), "overloaded: 100 requests/s were due, 100 were completed"),
        (with_load(sent_rps=98.0), "client-limited: 980 of 1000 planned"),
        (replace(GOOD, client_cpu_pct=90.0), "client-limited: the client used 90 % CPU of 1 core"),
        (replace(GOOD, unattributed_share=0.2), "20.0% of the mean response latency"),
        (replace(GOOD, error_rate=0.06), "6.0% of the requests failed"),
        (replace(GOOD, samples=99), "few samples: 99"),
        (replace(GOOD, little_error=0.03), "Little's law is off by 3.0%"),
        (replace(GOOD, host_busy="another process used 60 % of core 1"), "host busy: another process used 60 %"),
    ],
)
def test_each_fault_marks_the_measurement_with_its_numbers(evidence: Evidence, reason: str) -> None:
    """Marked, with exactly one reason that names what was found."""
    verdict = judge(evidence)
    assert verdict.verdict == "marked"
    assert len(verdict.reasons) == 1
    assert verdict.reasons[0].startswith(reason)


@pytest.mark.parametrize(
    "evidence",
    [
        with_load(sent_rps=99.0),
        replace(GOOD, client_cpu_pct=85.0),
        replace(GOOD, client_cpu_pct=160.0, client_cores=2),
        replace(GOOD, error_rate=0.05),
        replace(GOOD, samples=100),
        replace(GOOD, little_error=0.02),
        replace(GOOD, unattributed_share=0.05),
        replace(GOOD, backlog=None, little_error=None, client_cpu_pct=None, unattributed_share=None),
        with_load(planned=None, offered_rps=None, sent_rps=3.0),
    ],
)
def test_a_limit_itself_is_still_good_and_what_is_unknown_raises_no_alarm(evidence: Evidence) -> None:
    """Thresholds are inclusive; missing evidence is not evidence."""
    assert judge(evidence).verdict == "valid"


def test_one_request_may_fall_on_either_side_of_the_edge() -> None:
    """Nine of ten planned requests inside the window is the edge, not a slow sender; eight is."""
    small = replace(with_load(planned=10, sent_rps=0.9), window_s=10.0)
    assert judge(small).verdict == "valid"
    assert judge(replace(small, load=small.load.model_copy(update={"sent_rps": 0.8}))).verdict == "marked"


def test_no_success_is_invalid_whatever_else_holds() -> None:
    """There is nothing to believe; what else was found may say why."""
    verdict = judge(replace(GOOD, samples=0))
    assert verdict.verdict == "invalid"
    assert verdict.reasons == ("no request of the window succeeded",)
    assert len(judge(replace(GOOD, samples=0, error_rate=1.0)).reasons) == 2


def test_several_faults_are_all_told() -> None:
    """The most telling one first."""
    reasons = judge(replace(GOOD, backlog=Backlog(50.0, 0.999, 0.5), error_rate=0.5, samples=3)).reasons
    assert [reason.split()[0] for reason in reasons] == ["overloaded:", "50.0%", "few"]
