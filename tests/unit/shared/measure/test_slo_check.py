"""Limits of the job against what was measured."""

import numpy as np
import pytest
from scipy import stats  # type: ignore[import-untyped]
from support.samples import MS

from shared.jobs.slo import RequestLimits, SloSpec
from shared.measure.latency import summarize
from shared.measure.record import Goodput, SloCheck
from shared.measure.slo import Measured, check_slo


def measured(latencies_ms: np.ndarray, failures: int = 0, **changes: object) -> Measured:
    """Successes in an order without memory, with failures spread among them."""
    n = len(latencies_ms) + failures
    order = np.random.default_rng(1).permutation(n)
    response = np.concatenate([latencies_ms * MS, np.zeros(failures)]).astype(np.int64)[order]
    failed = (np.arange(n) >= len(latencies_ms))[order]
    facts: dict[str, object] = {
        "response_ns": response,
        "failed": failed,
        "summary": summarize(response, failed=failed),
        "error_rate": failures / n if n else 0.0,
        "throughput_rps": 100.0,
        "goodput": None,
    }
    return Measured(**(facts | changes))  # type: ignore[arg-type]


def up_to(n: int) -> np.ndarray:
    """1 to n ms, each once."""
    return np.arange(1, n + 1)


def only(slo: SloSpec, found: Measured) -> SloCheck:
    """The one check of a job with one limit."""
    (check,) = check_slo(slo, found)
    return check


def test_only_named_limits_are_checked() -> None:
    """No limit, no check; limits on requests are no check of their own; the order is that of the specification."""
    assert check_slo(None, measured(up_to(100))) == ()
    assert check_slo(SloSpec(request=RequestLimits(response_ms=1)), measured(up_to(100))) == ()
    slo = SloSpec(throughput_rps=1, p50_ms=1000, p99_ms=2000)
    assert [check.limit for check in check_slo(slo, measured(up_to(1000)))] == ["p50_ms", "p99_ms", "throughput_rps"]


def test_a_limit_well_above_is_met_and_well_below_is_missed() -> None:
    """With the measured percentile beside the allowed one, where it is certified."""
    found = measured(up_to(2000))
    met = only(SloSpec(p90_ms=1900), found)
    assert (met.limit, met.allowed, met.measured, met.met, met.reason) == ("p90_ms", 1900, 1800.0, True, None)
    assert only(SloSpec(p90_ms=1700), found).met is False


def test_a_limit_within_the_interval_is_undecided() -> None:
    """p90 of 2000 samples is known to about 1.3 %: a limit half a percent away is met or missed only by luck."""
    check = only(SloSpec(p90_ms=1810), measured(up_to(2000)))
    assert check.met is None
    assert check.reason is not None
    assert check.reason.startswith("undecided: 190 of 2000 requests took longer")


@pytest.mark.parametrize("overs", [0, 1, 2, 5, 10, 20])
def test_met_is_early_stopping_with_99_percent(overs: int) -> None:
    """By scipy's law: 3,000 requests of which so many took longer than the limit on p99."""
    latencies = np.concatenate([np.full(3000 - overs, 10), np.full(overs, 60)])
    certain = stats.binom.cdf(overs, 3000, 0.01) <= 0.01
    assert only(SloSpec(p99_ms=50), measured(latencies)).met is (True if certain else None)


def test_few_requests_cannot_meet_a_high_percentile() -> None:
    """458 requests, all within the limit, say nothing certain about p99; 459 do."""
    assert only(SloSpec(p99_ms=50), measured(np.full(458, 10))).met is None
    assert only(SloSpec(p99_ms=50), measured(np.full(459, 10))).met is True


def test_the_99_9th_percentile_has_its_limit_too() -> None:
    """4,603 requests within the limit certify it."""
    assert only(SloSpec(p999_ms=50), measured(np.full(4602, 10))).met is None
    assert only(SloSpec(p999_ms=50), measured(np.full(4603, 10))).met is True


def test_fast_errors_do_not_look_fast() -> None:
    """More than half of the requests failed at once: the median is a failure, and no limit on it is met."""
    check = only(SloSpec(p50_ms=1000.0), measured(np.full(400, 1), failures=600))
    assert (check.met, check.measured) == (False, None)


def test_a_few_failures_shift_the_percentile() -> None:
    """150 failures beside 1,000 quick successes: the p90 is a failure, the p50 is not."""
    found = measured(np.full(1000, 1), failures=150)
    p50, p90 = check_slo(SloSpec(p50_ms=2, p90_ms=1e9), found)
    assert (p50.met, p90.met) == (True, False)


def test_alike_neighbours_decide_less() -> None:
    """The same latencies in ascending order are worth one sample: nothing is met."""
    rising = np.arange(1, 2001, dtype=np.int64) * MS
    failed = np.zeros(2000, dtype=np.bool_)
    found = measured(up_to(10), response_ns=rising, failed=failed, summary=summarize(rising, failed=failed))
    assert only(SloSpec(p50_ms=1900), found).met is None


def test_an_overloaded_run_meets_no_percentile_limit() -> None:
    """Without a steady latency the limit is missed, and the reason says so; rates are judged as ever."""
    found = measured(np.full(1000, 1), unsteady="overloaded: no steady latency exists")
    p99, throughput = check_slo(SloSpec(p99_ms=1000, throughput_rps=50), found)
    assert (p99.met, p99.reason) == (False, "overloaded: no steady latency exists")
    assert throughput.met is True


def test_rates_are_limits_too() -> None:
    """An error rate has a largest value, a throughput a least one, and both are inclusive."""
    found = measured(up_to(98), failures=2)
    checks = check_slo(SloSpec(error_rate=0.02, throughput_rps=100.0), found)
    assert [(check.limit, check.measured, check.met) for check in checks] == [
        ("error_rate", 0.02, True),
        ("throughput_rps", 100.0, True),
    ]
    assert only(SloSpec(error_rate=0.019), found).met is False
    assert only(SloSpec(throughput_rps=100.1), found).met is False


def test_the_good_share_is_that_of_goodput_or_of_successes() -> None:
    """Over everything that was offered; without limits on requests a success is good."""
    good = Goodput(good=90, offered=100, rps=9.0, share=0.9)
    slo = SloSpec(good_share=0.9, request=RequestLimits(response_ms=5))
    assert only(slo, measured(up_to(100), goodput=good)).met is True
    assert only(SloSpec(good_share=0.99), measured(up_to(98), failures=2)).met is False


@pytest.mark.parametrize("failures", [0, 50])
def test_nothing_that_succeeded_meets_no_latency_limit(failures: int) -> None:
    """An empty run is not fast."""
    check = only(SloSpec(p50_ms=1000.0), measured(np.zeros(0), failures=failures))
    assert (check.met, check.measured, check.reason) == (False, None, "no request succeeded")
