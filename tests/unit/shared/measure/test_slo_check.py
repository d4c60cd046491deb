"""Limits of the job against what was measured."""

import numpy as np
from support.samples import MS

from shared.jobs.slo import SloSpec
from shared.measure.slo import check_slo

HUNDRED = np.arange(1, 101, dtype=np.int64) * MS


def test_only_named_limits_are_checked() -> None:
    """No limit, no check; the measured value stands beside the allowed one."""
    assert check_slo(None, HUNDRED, 0, 0.0, 100.0) == ()
    (check,) = check_slo(SloSpec(p99_ms=99.0), HUNDRED, 0, 0.0, 100.0)
    assert (check.limit, check.allowed, check.measured, check.met) == ("p99_ms", 99.0, 99.0, True)


def test_a_limit_missed_by_a_millisecond_is_missed() -> None:
    """p90 of 1 to 100 ms is 90."""
    (check,) = check_slo(SloSpec(p90_ms=89.0), HUNDRED, 0, 0.0, 100.0)
    assert not check.met


def test_fast_errors_do_not_look_fast() -> None:
    """Half of the requests failed at once: the median is a failure, and no limit on it is met."""
    p50, p90 = check_slo(SloSpec(p50_ms=1000.0, p90_ms=10_000.0), HUNDRED, 101, 101 / 201, 50.0)
    assert not p50.met
    assert p50.measured is None
    assert not p90.met


def test_a_few_failures_shift_the_percentile() -> None:
    """With 10 failures beside 100 successes, p90 is rank 99 of 110."""
    (check,) = check_slo(SloSpec(p90_ms=98.0), HUNDRED, 10, 10 / 110, 50.0)
    assert check.measured == 99.0
    assert not check.met


def test_rates_are_limits_too() -> None:
    """An error rate has a largest value, a throughput a least one."""
    checks = check_slo(SloSpec(error_rate=0.01, throughput_rps=100.0), HUNDRED, 2, 0.02, 120.0)
    assert [(check.limit, check.met) for check in checks] == [("error_rate", False), ("throughput_rps", True)]


def test_nothing_measured_meets_no_latency_limit() -> None:
    """An empty run is not fast."""
    (check,) = check_slo(SloSpec(p50_ms=1000.0), np.zeros(0, dtype=np.int64), 0, 0.0, 0.0)
    assert not check.met
